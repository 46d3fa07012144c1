"""Harvest source trees into a corpus: python -m src.harvest lang=go roots=[DIR,...] out=DIR"""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.utils.console import as_list
from src.utils.errors import InputError

if TYPE_CHECKING:  # worker processes import this file: nothing heavy here
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> None:
    """Harvests the roots, and prints what was kept and what was dropped."""
    from src.config import checks
    from src.corpora.harvester.pipeline import harvest, plan, show

    checks.check(cfg, "harvest")
    if cfg.get("lang") is None:
        raise InputError("expected lang=python|java|javascript|php|ruby|go, found none")
    if cfg.out is None:
        raise InputError("expected the folder to write to in out=DIR, found none")
    work = plan(cfg.lang.name, as_list(cfg.roots))
    about = harvest(work, cfg.out, cfg.workers)
    show(about, cfg.out)


if __name__ == "__main__":
    from src import cli

    cli.run(main, "harvest")
