"""Grids of runs: which cells there are, which of them are finished, and what came of the rest."""
