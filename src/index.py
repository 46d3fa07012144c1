"""Index your own code: python -m src.index run=DIR roots=[REPO,...] out=INDEX"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from src.utils.errors import InputError
from src.utils.tables import number_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from src.deploy.index.build import Report

SKIPPED = "files skipped: "  # begins the names of these counts; the reason follows


def main(cfg: DictConfig) -> None:
    """Harvests the roots, embeds what is new, writes the index, and prints what changed."""
    from src.config.checks import check
    from src.deploy.encoder import Model
    from src.deploy.index.build import Options, build
    from src.deploy.index.store import read_manifest
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


def show(report: Report, out: str) -> None:
    """Prints what the index contains, the time it took, what was left out, and how to search it."""
    from rich.console import Console

    from src.utils.console import print_facts

    print_facts(facts(report, Path(out).expanduser()))
    Console().print(
        f' python -m src.search index={out} "what it does"', style="dim", highlight=False, soft_wrap=True, markup=False
    )


def facts(report: Report, out: Path) -> dict[str, str]:
    """name -> line."""
    manifest, counts, seconds = report.manifest, report.counts, report.seconds
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    embedded, total = counts["embedded"], sum(seconds.values())
    shown = {
        "index": f"{number_of(manifest['functions'], 'function')}, {manifest['items']:,} distinct, "
        f"of {number_of(manifest['files'], 'file')}",
        "changed": f"{embedded:,} embedded, {counts['unchanged']:,} unchanged, {counts['removed']:,} removed",
        "time": ", ".join(f"{name} {spent:.0f} s" for name, spent in seconds.items())
        + (f"; {embedded / total:,.0f} functions/s" if embedded else ""),
        "size": f"{size / 1e6:,.1f} MB in {out}",
        "model": f"{manifest['model']['name']}, {manifest['model']['identity']}, dimension {manifest['dimension']}",
    }
    if reasons := [(name.removeprefix(SKIPPED), n) for name, n in counts.most_common() if name.startswith(SKIPPED)]:
        shown["left out"] = ", ".join(f"{n:,} {why}" for why, n in reasons) + " files"
    if report.unreadable:
        more = f" and {len(report.unreadable) - 1} more" if len(report.unreadable) > 1 else ""
        shown["unreadable"] = f"{report.unreadable[0]}{more}: change the permissions of these folders to list them"
    if graph := manifest["graph"]:
        shown["approximate"] = (
            "not measured: no function is documented"
            if graph["recall@10"] is None
            else f"{graph['recall@10']:.1%} of the true ten best found, {graph['queries']} queries"
        )
    else:
        shown["search"] = f"exact, as there are at most {manifest['exact_below']:,} distinct functions"
    return shown


if __name__ == "__main__":
    from src import cli

    cli.run(main, "index")
