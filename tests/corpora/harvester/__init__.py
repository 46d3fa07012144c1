"""The harvester: extraction on hand-written files, and whole harvests of small trees."""
