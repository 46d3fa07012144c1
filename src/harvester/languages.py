"""The languages that can be harvested, by name."""

from __future__ import annotations

from src.errors import InputError, nearest
from src.harvester.base import Language
from src.harvester.go import Go
from src.harvester.java import Java
from src.harvester.javascript import JavaScript
from src.harvester.php import Php
from src.harvester.python import Python
from src.harvester.ruby import Ruby

LANGUAGES: dict[str, Language] = {kind.name: kind() for kind in (Python, Java, JavaScript, Php, Ruby, Go)}


def language_of(name: str) -> Language:
    """Raises InputError for a language that has no grammar here."""
    if name not in LANGUAGES:
        raise InputError(f"expected lang={'|'.join(LANGUAGES)}, found {name!r}{nearest(str(name), LANGUAGES)}")
    return LANGUAGES[name]
