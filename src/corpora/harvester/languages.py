"""The languages that can be harvested, by name."""

from src.corpora.harvester.base import Language
from src.corpora.harvester.go import Go
from src.corpora.harvester.java import Java
from src.corpora.harvester.javascript import JavaScript
from src.corpora.harvester.php import Php
from src.corpora.harvester.python import Python
from src.corpora.harvester.ruby import Ruby
from src.utils.errors import InputError, nearest

LANGUAGES: dict[str, Language] = {kind.name: kind() for kind in (Python, Java, JavaScript, Php, Ruby, Go)}


def language_of(name: str) -> Language:
    """The language of this name. Raises InputError for an unknown one."""
    if name not in LANGUAGES:
        raise InputError(f"expected lang={'|'.join(LANGUAGES)}, found {name!r}{nearest(str(name), LANGUAGES)}")
    return LANGUAGES[name]
