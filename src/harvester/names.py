"""Languages that can be harvested, and files that can be left out, by name alone: grammars take a while to import."""

from typing import Literal, get_args

Language = Literal["python", "java", "javascript", "php", "ruby", "go"]
NAMES: tuple[str, ...] = get_args(Language)
Skipped = Literal["vendored", "tests", "generated", "minified"]
REASONS: tuple[str, ...] = get_args(Skipped)
