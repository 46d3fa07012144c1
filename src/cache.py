"""What the cache holds, and clearing it: python -m src.cache [list | clear [KEY ...]]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from src.utils.disk_cache import DEFAULT_ROOT, Cache, damage, part_of, read_about


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m src.cache", description=__doc__)
    parser.add_argument("action", nargs="?", default="list", choices=("list", "clear"))
    parser.add_argument("keys", nargs="*", metavar="KEY", help="clear: these entries or kinds only; default all")
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, help=f"the cache's folder (default {DEFAULT_ROOT})")
    given = parser.parse_args(arguments)
    cache = Cache(given.root)
    if given.action == "list":
        show(cache)
        return 0
    found = sorted({*cache.entries(), *cache.unfinished()})
    chosen = [path for path in found if not given.keys or {path.name, path.parent.name} & set(given.keys)]
    unknown = set(given.keys) - {name for path in found for name in (path.name, path.parent.name)}
    if unknown:
        print(f"error: no entry and no kind {', '.join(sorted(unknown))} in {cache.root}", file=sys.stderr)
        return 2
    busy = [path for path in chosen if not cache.clear(path)]
    print(f"removed {len(chosen) - len(busy)} of {len(chosen)} entries from {cache.root}")
    for path in busy:
        print(f"error: {path} is being made by a running job; stop that first", file=sys.stderr)
    return 2 if busy else 0


def show(cache: Cache) -> None:
    """A table of the entries, with what each is and whether it is whole."""
    console = Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("kind", "key", "MB", "made", "what"):
        table.add_column(name, justify="right" if name == "MB" else "left", no_wrap=name != "what")
    for path in cache.entries():
        about = read_about(path)
        numbers = [f"{name} {value:,}" for name, value in about.get("facts", {}).items() if type(value) is int]
        what = escape("; ".join(filter(None, (about.get("about", ""), ", ".join(numbers)))))
        what += " [red]damaged: made again when next used" if damage(path) else ""
        table.add_row(path.parent.name, path.name, _megabytes(path), about.get("made", "")[:-3], what)
    for path in cache.unfinished():
        table.add_row(path.parent.name, path.name, _megabytes(part_of(path)), "", "[yellow]unfinished")
    if table.row_count:
        console.print(table)
    else:
        console.print(f"nothing cached in {cache.root}")


def _megabytes(folder: Path) -> str:
    return f"{sum(file.stat().st_size for file in folder.rglob('*')) / 1e6:,.1f}"


if __name__ == "__main__":
    sys.exit(main())
