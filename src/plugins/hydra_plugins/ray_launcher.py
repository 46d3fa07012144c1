"""Where Hydra looks for launchers; the work is in src/sweeps."""

from src.sweeps.ray_jobs import RayJobs


class RayLauncher(RayJobs):
    """`hydra/launcher=ray`."""
