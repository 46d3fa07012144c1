"""Small source trees to harvest."""

from __future__ import annotations

from pathlib import Path

WORDS = ["open", "close", "read", "write", "parse", "print", "sort", "merge", "split", "join"]
WORDS += ["load", "store", "fetch", "send", "lock", "free", "fill", "fold", "zip", "scan"]


def go_function(name: str, what: str = "rows") -> str:
    """A documented function that every filter keeps."""
    return f"// {name} handles the {what} of {name}.\nfunc {name}(a int) int {{\n\t{name}s := a\n\treturn {name}s\n}}\n"


def go_tree(root: Path, files: int = 20) -> Path:
    """`files` packages with a function each."""
    for word in WORDS[:files]:
        write(root / word / f"{word}.go", f"package {word}\n\n{go_function(word)}")
    return root


def write(path: Path, source: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return path
