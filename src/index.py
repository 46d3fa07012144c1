"""Index your own code: python -m src.index run=DIR roots=[REPO,...] out=INDEX"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from src.utils.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> None:
    """Harvests the roots, embeds what is new, writes the index, and prints what changed."""
    from src.config.checks import check
    from src.deploy.encoder import Model
    from src.deploy.index.build import Options, build
    from src.deploy.index.store import read_manifest
    from src.deploy.index.summary import show
    from src.utils.console import as_list

    check(cfg, "index")
    if cfg.out is None:
        raise InputError("expected the index's folder in out=INDEX, found none")
    options = Options(tuple(as_list(cfg.skip)), cfg.workers, cfg.batch_size, cfg.exact_below, cfg.rebuild)
    run, checkpoint = cfg.run, cfg.checkpoint
    if run is None and checkpoint is None and (manifest := read_manifest(Path(cfg.out).expanduser())):
        checkpoint = manifest["model"]["checkpoint"]
    report = build(as_list(cfg.roots), cfg.out, Model.load(run, checkpoint), options)
    show(report, cfg.out)


if __name__ == "__main__":
    from src import cli

    cli.run(main, "index")
