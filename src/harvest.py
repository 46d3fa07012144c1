"""Harvest source trees into a corpus: python -m src.harvest lang=go roots=[DIR,...] out=DIR"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from src.errors import InputError

if TYPE_CHECKING:  # worker processes import this file: nothing heavy here
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> None:
    """Plans, harvests, and says what was kept and what was dropped."""
    from src.config import checks
    from src.harvester.pipeline import harvest, plan
    from src.harvester.summary import show

    checks.check(cfg, "harvest")
    check(cfg)
    work = plan(cfg.lang.name, as_list(cfg.roots))
    about = harvest(work, cfg.out, cfg.workers)
    show(about, cfg.out)


def check(cfg: DictConfig) -> None:
    """Raises InputError for a key that is missing."""
    if cfg.get("lang") is None:
        raise InputError("expected lang=python|java|javascript|php|ruby|go, found none")
    if cfg.out is None:
        raise InputError("expected the folder to write to in out=DIR, found none")


def as_list(roots: Any) -> list[str]:
    """roots=DIR means the same as roots=[DIR]."""
    return [roots] if isinstance(roots, str) else list(roots or ())


if __name__ == "__main__":
    from src import cli

    cli.run(main, "harvest")
