"""Who is told what a run measures: W&B, without a say in whether the run goes on."""

from src.loggers.wandb import ForgivingWandbLogger, ask_ahead

__all__ = ["ForgivingWandbLogger", "ask_ahead"]
