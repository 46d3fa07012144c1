"""Loggers of a run: W&B, whose failures never end the run."""

from src.loggers.wandb import FaultTolerantWandbLogger, start_server_probe

__all__ = ["FaultTolerantWandbLogger", "start_server_probe"]
