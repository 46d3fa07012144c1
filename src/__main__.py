"""Lists the commands: python -m src"""

from __future__ import annotations

import ast
from pathlib import Path


def main() -> None:
    """Prints every command with the first sentence of its module."""
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *here.glob("*/__main__.py")]):
        text = path.read_text(encoding="utf-8")
        if path.parent / path.name != here / "__main__.py" and '__name__ == "__main__"' in text:
            name = path.parent.name if path.name == "__main__.py" else path.stem
            print(f"  python -m src.{name:<16} {(ast.get_docstring(ast.parse(text)) or '').partition(': python')[0]}")


if __name__ == "__main__":
    main()
