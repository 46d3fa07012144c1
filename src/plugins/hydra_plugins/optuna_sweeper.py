"""Where Hydra looks for sweepers; the work is in src/sweeps."""

from src.sweeps.search import Search


class OptunaSearch(Search):
    """`hydra/sweeper=optuna`."""
