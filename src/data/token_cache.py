"""Texts tokenised once: the items of a split as flat arrays in the cache, mapped into memory by whoever reads them."""

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from src.backbones.base import Encoder
from src.corpora.base import fingerprint
from src.data.length_buckets import UntokenizedTexts
from src.utils.cpus import usable_cpus
from src.utils.disk_cache import Cache, NotWritableError
from src.utils.ragged import Column, Ragged

log = logging.getLogger(__name__)

# To be raised with every change of code that gives a text other tokens: then they are not taken from the cache.
TOKENS_VERSION = 1
FEW = 1000  # texts that are not worth a file: they are tokenised in a moment, and held in memory
CHUNK = 1024  # texts that are tokenised together; a backend keeps a hundred times their ids' memory until they are flat
POOL_SECONDS = 5.0  # of work that is left, from which on processes share it: starting them takes one
VALUES, STARTS = ".values.npy", ".starts.npy"


class Mapped(Ragged):
    """Items in files, of which only what is asked for is read.

    Pickles as the folder's path: the workers of a data loader map the same files instead of getting copies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mapped: dict[str, Column] = {}

    @property
    def columns(self) -> dict[str, Column]:  # type: ignore[override]
        if not self._mapped:
            for path in sorted(self.folder.rglob(f"*{VALUES}")):
                name = path.relative_to(self.folder).as_posix().removesuffix(VALUES)
                files = (path, self.folder / f"{name}{STARTS}")
                values, starts = (np.asarray(np.load(file, mmap_mode="r")) for file in files)
                self._mapped[name] = values, starts
        return self._mapped

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}


def tokenised(encoder: Encoder, texts: Sequence[str], side: str, root: str | Path | None) -> Ragged | UntokenizedTexts:
    """The items of all texts: few in memory, many in the cache below `root`.

    Many texts without a cache, or of an encoder that does not say what decides its items, are tokenised when they are
    asked for.
    """
    if len(texts) <= FEW:
        items, failed = _together(_tokenise(encoder, texts, side))
        _say(failed, len(texts), side)
        return items
    decides = encoder.tokenization_settings(side)
    if decides is None or root is None:
        return UntokenizedTexts(encoder, texts, side)
    made_from = {"text": fingerprint(texts), "side": side, "encoder": decides, "version": TOKENS_VERSION}
    try:
        entry = Cache(root).get(
            "tokens",
            made_from,
            lambda folder: _write(folder, encoder, texts, side),
            about=f"{len(texts):,} texts as {side}, by {type(encoder).__name__}",
            making=lambda why: log.info("tokenising %d texts as %s (%s)", len(texts), side, why),
        )
    except (NotWritableError, OSError) as error:
        log.warning("texts are tokenised in every epoch, since their tokens cannot be kept: %s", error)
        return UntokenizedTexts(encoder, texts, side)
    if not entry.why:
        log.info("tokens of %d texts as %s reused, made %s", len(texts), side, entry.made)
        encoder.parse_failures(side).update(entry.facts["failed"])
    _say(entry.facts["failed"], len(texts), side)
    return Mapped(entry.path)


def _write(folder: Path, encoder: Encoder, texts: Sequence[str], side: str) -> Mapping[str, Any]:
    items, failed = _together(_tokenise(encoder, texts, side))
    for name, (values, starts) in items.columns.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}{VALUES}", values)
        np.save(folder / f"{name}{STARTS}", starts)
    return {"failed": dict(failed)}


def _tokenise(encoder: Encoder, texts: Sequence[str], side: str) -> Iterator[tuple[Ragged, Counter[str]]]:
    """Items and failures of one chunk of texts after the other; by several processes where much is left to do."""
    chunks = _Chunks(encoder, texts, side)
    with _threads():
        start = time.perf_counter()
        yield chunks[0]
        left = (time.perf_counter() - start) * (len(chunks) - 1)
        if encoder.tokenises_in_threads or left < POOL_SECONDS or usable_cpus() == 1:
            yield from (chunks[number] for number in range(1, len(chunks)))
            return
    workers = min(usable_cpus(), len(chunks) - 1)
    loader: DataLoader[tuple[Ragged, Counter[str]]] = DataLoader(
        chunks,  # type: ignore[arg-type]  # a sequence is a dataset
        batch_size=None,
        sampler=range(1, len(chunks)),
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )
    for items, failed in loader:
        encoder.parse_failures(side).update(failed)  # counted in a process that is gone
        yield items, failed


class _Chunks:
    """Chunks of texts, tokenised when they are asked for."""

    def __init__(self, encoder: Encoder, texts: Sequence[str], side: str) -> None:
        self.encoder, self.texts, self.side = encoder, texts, side

    def __len__(self) -> int:
        return math.ceil(len(self.texts) / CHUNK)

    def __getitem__(self, number: int) -> tuple[Ragged, Counter[str]]:
        before = Counter(self.encoder.parse_failures(self.side))
        items = self.encoder.tokenise(self.texts[number * CHUNK : (number + 1) * CHUNK], self.side)
        return items.narrowed(), self.encoder.parse_failures(self.side) - before


def _as_it_is(item: Any) -> Any:
    return item


def _together(chunks: Iterator[tuple[Ragged, Counter[str]]]) -> tuple[Ragged, Counter[str]]:
    made, failed = zip(*chunks)
    return Ragged.joined(made), sum(failed, Counter())


def _say(failed: Mapping[str, int], number: int, side: str) -> None:
    if failed:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(failed.items()))
        log.warning("of %d texts as %s these did not parse, and are read without data flow: %s", number, side, kinds)


_threaded: int | None = None  # the process that started the threads of Hugging Face's tokenizers, or whose parent did


@contextmanager
def _threads() -> Iterator[None]:
    """Tokenizers of Hugging Face use all processors inside.

    Not in a fork of a process that did: their threads are not there, and would be waited for without end.
    """
    global _threaded
    _threaded = _threaded or os.getpid()
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if _threaded == os.getpid() else "false"
    try:
        yield
    finally:
        os.environ["TOKENIZERS_PARALLELISM"] = before or "false"
