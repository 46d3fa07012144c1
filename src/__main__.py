"""Lists the commands: python -m src"""

import sys
from collections.abc import Sequence

from src.config.commands import COMMANDS, GROUPS, sentence_of
from src.utils.errors import nearest


def main(words: Sequence[str]) -> int:
    """Prints every command with its sentence; a word that is no flag was meant to be one of them."""
    if words and not words[0].startswith("-"):
        name = words[0].removeprefix("src.").partition("=")[0]
        if name in COMMANDS:
            answer = f"type python -m src.{' '.join([name, *words[1:]])}"
        else:
            answer = f"{name} is no command{nearest(name, COMMANDS)}; python -m src lists them"
        print(f"error: {answer}", file=sys.stderr)
        return 2
    print("usage: python -m src.COMMAND [KEY=VALUE ...]\n       python -m src.COMMAND --help")
    for group, commands in GROUPS.items():
        print(f"\n{group}", *(f"  {command:<16} {sentence_of(command)}" for command in commands), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
