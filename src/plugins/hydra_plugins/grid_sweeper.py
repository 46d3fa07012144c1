"""Where Hydra looks for sweepers: in a package of this name, on the path. The work is in src/sweeps.

There is no __init__.py in this folder: other plugins share its name.
"""

from src.sweeps.sweeper import Grid


class GridSweeper(Grid):
    """`hydra/sweeper=grid`, the default of conf/train.yaml."""
