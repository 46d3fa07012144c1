"""Every private member of Hydra that this project uses; tests/config/test_hydra_internals.py checks them.

Hydra has no public way to take a command line apart without running an application.
"""

from __future__ import annotations

import argparse

from hydra._internal.utils import get_args_parser


def hydra_parser() -> argparse.ArgumentParser:
    """The parser of a Hydra application's command line."""
    return get_args_parser()
