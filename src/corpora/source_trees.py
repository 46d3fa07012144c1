"""Your own source trees as a corpus: harvested on first use, then read like any CodeSearchNet data."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from src.config.types import Effect, Whole
from src.corpora.base import Corpus, MissingLanguage, Split
from src.corpora.codesearchnet import CodeSearchNetCorpus, Text
from src.corpora.harvester.languages import language_of
from src.corpora.harvester.pipeline import Work, harvest_to, harvester_version, plan, read_about
from src.corpora.harvester.source_trees import find_trees, with_sources
from src.utils.console import print_facts
from src.utils.disk_cache import DEFAULT_ROOT, Cache
from src.utils.errors import InputError
from src.utils.tables import number_of

log = logging.getLogger(__name__)

KIND = "harvest"  # of the cache's entries


@dataclass(eq=False)
class HarvestCorpus(Corpus):
    """Documented functions of one language below `roots` (folders or .zip archives; one path means a list of one).

    Found in the cache by the content of the files, wherever they are, and by the harvester's version.

    Args:
        roots: folders or .zip archives of sources.
        language: the language of the functions.
        text: which fields come first: `source` (code, docstring) or `tokens` (code_tokens, docstring_tokens).
        cache: folder that keeps harvests.
        workers: processes that harvest; None is one per core, 0 this process alone.
    """

    roots: Sequence[str | Path] | str | None = None
    language: str = "python"
    text: Text = "source"
    cache: Annotated[str | Path | None, Effect.NONE] = DEFAULT_ROOT
    workers: Annotated[Whole | None, Effect.NONE] = None

    def read(self, name: str) -> Split:
        """Raises InputError: roots that are missing or hold no function of the language, and what the layout asks."""
        return self._corpus.split(name)

    def check(self) -> None:
        """Raises InputError: roots that are missing, or none; a language that is not harvested."""
        language_of(self.language)
        find_trees(self._roots)

    def counts(self) -> dict[str, int]:
        """Files and functions read, skipped and dropped, by reason, and the size of each split."""
        about = read_about(self._folder / self.language)
        return {**about["counts"], **about["sizes"]}

    def of_language(self, language: str) -> "HarvestCorpus":
        """The harvest of one language, made now, of those roots that hold it; a root need not hold every language.

        Raises MissingLanguage: none of them does, or too few functions are left to split.
        """
        roots = with_sources(self._roots, language)
        if not roots:
            raise MissingLanguage("no sources in corpus.roots")
        return HarvestCorpus(roots, language, self.text, self.cache, self.workers).harvested()

    def harvested(self) -> "HarvestCorpus":
        """Itself, with the harvest made. Raises MissingLanguage where that is impossible."""
        try:
            self._folder  # noqa: B018 - makes it
        except InputError as error:
            raise MissingLanguage(str(error)) from error
        return self

    @property
    def _roots(self) -> list[str | Path]:
        return [self.roots] if isinstance(self.roots, str | Path) else list(self.roots or ())

    @cached_property
    def _corpus(self) -> CodeSearchNetCorpus:
        return CodeSearchNetCorpus(self._folder, self.language, self.text)

    @cached_property
    def _folder(self) -> Path:
        """The finished harvest, made now where there is none."""
        if self.cache is None:
            raise InputError("corpus=harvest keeps its harvest in the cache: expected cache=DIR, found cache=null")
        work = plan(self.language, self._roots)
        names = [tree.name for tree in work.trees]
        of = f"{number_of(len(work.files), f'{self.language} file')} of {', '.join(names[:3])}"
        of += f" and {len(names) - 3:,} more" * (len(names) > 3)
        entry = Cache(Path(self.cache).expanduser()).get(
            KIND,
            {"content of the sources": work.content, "version of the harvester": harvester_version()},
            lambda folder: self._harvested(work, folder),
            about=of,
            waiting=lambda: _say("waiting for another job that harvests the same files"),
            making=lambda why: _say(f"{of} ({why})"),
            resumable=True,
        )
        return entry.path

    def _harvested(self, work: Work, folder: Path) -> Mapping[str, Any]:
        return harvest_to(work, folder / self.language, self.workers)["sizes"]


def _say(message: str) -> None:
    log.info("%s", message)
    print_facts({KIND: message})
