"""Mined hard negatives: their file, and the further columns that they are of a training batch.

    {"query": "17", "negatives": ["4", "90"], "train": "fe276052c8d4"}

is one line: the id of a training pair, the ids of the pairs whose codes are hard negatives of its query (the hardest
first), and the fingerprint of the training split that all of them belong to. Made by python -m src.mine.

Shape letters: N training pairs, B pairs of a batch, K mined columns of a row, C = B (1 + K) columns.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from src.corpora.base import Split
from src.corpora.jsonl import Row, read_rows
from src.runtime.distributed import RankSlice
from src.utils.errors import InputError, nearest
from src.utils.files import replacing
from src.utils.ragged import Ragged


@dataclass(frozen=True)
class MinedNegatives:
    """Hard negatives of training pairs, by index: any estimator gives their similarity as that of any other pair.

    Args:
        negatives: column `items`: of each pair, the indices of its mined negatives; none is no mistake.
        per_query: K, how many of them a row brings into its batch.
        seed: decides, with the batch, which of them.
        language_N: a number for each pair's language where a batch holds one language; None where it may mix.
    """

    negatives: Ragged
    per_query: int
    seed: int
    language_N: np.ndarray | None = None

    def columns(self, items_B: np.ndarray, rank_slice: RankSlice) -> tuple[np.ndarray, slice]:
        """items_C, and which of them are this device's: those of its rows, followed by what its rows bring.

        All C items differ, so that no row meets its own code twice. A row brings a random choice of its negatives that
        are not there yet; where it has too few, random pairs fill its places, so that every device has equally many.
        The batch alone decides the choice: not the epoch, the device or the loader's worker that makes it.
        """
        rng = np.random.default_rng([self.seed, *items_B.tolist()])
        taken, chosen_BK = set(items_B.tolist()), np.full((len(items_B), self.per_query), -1)
        values, starts = self.negatives[items_B].columns["items"]
        for row in range(len(items_B)):
            free = [item for item in values[starts[row] : starts[row + 1]].tolist() if item not in taken]
            picked = rng.permutation(free)[: self.per_query]
            chosen_BK[row, : len(picked)] = picked
            taken.update(picked.tolist())
        empty_BK = chosen_BK < 0
        if empty_BK.any():
            spare_N = np.ones(len(self.negatives), bool)
            if self.language_N is not None:
                spare_N = self.language_N == self.language_N[items_B[0]]
            spare_N[list(taken)] = False
            chosen_BK[empty_BK] = rng.choice(np.flatnonzero(spare_N), int(empty_BK.sum()), replace=False)
        rows = [replace(rank_slice, rank=rank).rows(len(items_B)) for rank in range(rank_slice.world_size)]
        width = 1 + self.per_query
        own = rank_slice.rows(len(items_B))
        columns = [part for own_rows in rows for part in (items_B[own_rows], chosen_BK[own_rows].ravel())]
        return np.concatenate(columns).astype(np.int64), slice(own.start * width, own.stop * width)

    def check(self, batch_size: int) -> None:
        """Raises InputError where a batch would need more pairs than there are."""
        sizes = [len(self.negatives)] if self.language_N is None else np.bincount(self.language_N).tolist()
        needed = batch_size * (1 + self.per_query)
        if short := [size for size in sizes if batch_size <= size < needed]:
            raise InputError(
                f"negatives.mined: batches hold {needed:,} different codes (data.batch_size={batch_size} times 1 + "
                f"negatives.mined_per_query={self.per_query}), found a training split of {min(short):,} pairs; lower "
                "either"
            )


def check_mined(path: str | Path) -> Path:
    """The path without ~. Raises InputError where there is no file, or one that begins as src.mine writes none."""
    path = Path(path).expanduser()
    if not path.is_file():
        what = f"does not exist: make it with python -m src.mine run=DIR out={path}"
        if path.is_dir():
            hint = nearest("negatives.jsonl", [file.name for file in path.iterdir()])
            what = f"is a folder: give the file in it that src.mine wrote{hint}"
        raise InputError(f"negatives.mined={path} {what}")
    if (first := next(read_rows(path), None)) is not None:
        first.text("train")
    return path


def read_mined(path: str | Path, train: Split, per_query: int, seed: int, one_language: bool = False) -> MinedNegatives:
    """The negatives of a file that src.mine wrote for this training split.

    Raises InputError, naming file and line: no such file, no such pair, a query twice, or another training split.
    """
    path = check_mined(path)
    place = {pair.id: i for i, pair in enumerate(train.pairs)}
    items: list[Sequence[int]] = [()] * len(place)
    seen: set[int] = set()
    split = train.fingerprint
    for row in read_rows(path):
        if (found := row.text("train")) != split:
            raise row.error(
                f"these negatives belong to the training split {found}, and this one is {split}: another corpus, "
                "language or corpus.dedup; mine again with python -m src.mine"
            )
        query = _place(row, place, row.text("query"))
        if query in seen:
            raise row.error(f"query {row.text('query')!r} a second time; remove one of the two lines")
        seen.add(query)
        negatives = row.fields.get("negatives")
        if not isinstance(negatives, list) or not all(isinstance(id, str) for id in negatives):
            raise row.error("expected a list of ids in 'negatives'")
        places = [_place(row, place, id) for id in negatives]
        items[query] = [item for item in places if item != query]
    languages = np.unique([pair.language for pair in train.pairs], return_inverse=True)[1] if one_language else None
    return MinedNegatives(Ragged.of({"items": items}), per_query, seed, languages)


def write_mined(path: Path, train: Split, negatives: Iterable[tuple[int, Sequence[int]]]) -> None:
    """Lines of (query, its negatives) by index; the file appears whole or not at all."""
    split, ids = train.fingerprint, [pair.id for pair in train.pairs]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        for query, items in negatives:
            line = {"query": ids[query], "negatives": [ids[item] for item in items], "train": split}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _place(row: Row, place: dict[str, int], id: str) -> int:
    if id not in place:
        raise row.error(f"expected the id of a training pair, found {id!r}; mine again with python -m src.mine")
    return place[id]
