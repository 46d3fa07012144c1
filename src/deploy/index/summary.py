"""A finished index in a few lines: its contents, the time it took, what was left out."""

from pathlib import Path

from rich.console import Console

from src.deploy.index.build import Report
from src.utils.console import print_facts

SKIPPED = "files skipped: "  # begins the names of these counts; the reason follows


def show(report: Report, out: str | Path) -> None:
    """Prints the lines to standard output."""
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
        "index": f"{manifest['functions']:,} functions, {manifest['items']:,} distinct, of {manifest['files']:,} files",
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
