"""Loggers of a run: W&B, whose failures never end the run."""
