"""Your own source trees as a corpus: harvested on first use, then read like any CodeSearchNet data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from src.corpora.base import Split
from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.harvester.pipeline import harvest, plan, read_about

CACHE = "outputs/cache/harvest"


class HarvestCorpus:
    """Documented functions of one language below `roots` (folders or .zip archives; one path means a list of one).

    Kept in `cache`/<key>/<language>/, where the key is taken from the content of the files, wherever they lie, and
    from the harvester itself. `text` and `workers` as in CodeSearchNetCorpus and src.harvest. Every InputError comes
    from `split`, never from the constructor.
    """

    def __init__(
        self,
        roots: Sequence[str | Path] | str | None = None,
        language: str = "python",
        text: str = "source",
        cache: str | Path = CACHE,
        workers: int | None = None,
    ) -> None:
        self.roots = roots
        self.language = language
        self.text = text
        self.cache = cache
        self.workers = workers

    def split(self, name: str) -> Split:
        """Raises InputError: roots that are missing or hold no function of the language, and what the layout asks."""
        return self._corpus.split(name)

    def counts(self) -> dict[str, int]:
        """Files and functions read, skipped and dropped, by reason, and the size of each split."""
        about = self._about
        return {**about["counts"], **about["sizes"]}

    @cached_property
    def _corpus(self) -> CodeSearchNetCorpus:
        return CodeSearchNetCorpus(self._folder, self.language, self.text)

    @cached_property
    def _folder(self) -> Path:
        """The finished harvest, made now where there is none."""
        roots = [self.roots] if isinstance(self.roots, str | Path) else list(self.roots or ())
        work = plan(self.language, roots)
        folder = Path(self.cache).expanduser() / work.key
        harvest(work, folder, self.workers)
        return folder

    @property
    def _about(self) -> dict[str, Any]:
        return read_about(self._folder / self.language)
