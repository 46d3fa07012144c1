"""List the cache's entries, or remove some: python -m src.cache [list | clear [KEY ...]]"""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from src.config import direct_commands
from src.utils.console import as_list
from src.utils.disk_cache import Cache, damage, part_of, read_about
from src.utils.errors import InputError, ResourceError, nearest

ACTIONS = ("list", "clear")


def main(cfg: direct_commands.Cache) -> None:
    """Shows the entries, or removes those that are named."""
    cache = Cache(cfg.root)
    action, *names = as_list(cfg.action) or ["list"]
    if action not in ACTIONS or (names and action == "list"):
        found = " ".join([action, *names])
        raise InputError(f"action: expected list, clear or clear KEY ..., found {found!r}{nearest(action, ACTIONS)}")
    if action == "list":
        show(cache)
    else:
        clear(cache, set(names))


def clear(cache: Cache, names: set[str]) -> None:
    """Removes the entries of these keys and kinds, all of them where there is no name."""
    entries = sorted({*cache.entries(), *cache.unfinished()})
    chosen = [path for path in entries if not names or {path.name, path.parent.name} & names]
    unknown = names - {name for path in entries for name in (path.name, path.parent.name)}
    if unknown:
        raise InputError(f"no entry and no kind {', '.join(sorted(unknown))} in {cache.root}")
    busy = [path for path in chosen if not cache.clear(path)]
    print(f"removed {len(chosen) - len(busy)} of {len(chosen)} entries from {cache.root}")
    if busy:
        paths = ", ".join(map(str, busy))
        raise ResourceError(f"{paths}: being made by a running job; wait for its end, or stop it first")


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
    from src.config import direct_cli

    direct_cli.run(main, "cache")
