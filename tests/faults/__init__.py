"""Faults that are injected on purpose, one module per promise: `make faults` runs them all and prints the table."""
