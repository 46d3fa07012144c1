"""BM25 over an index: each segment's files say which functions hold a term, and a query reads those of its own terms.

The scores are those of `src.utils.bm25.BM25` over the same functions, whose arrays would not fit in memory for a
million of them.

Shape letters: M distinct functions of all segments, V terms of a segment, P places where a term was found.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from src.utils.subtokens import subtokens

K1, B, EPSILON = 1.5, 0.75, 0.25  # as src.utils.bm25, which imports scipy
FILES = ("terms", "term_starts", "term_items", "term_counts", "lengths")


def terms_of(doc: str, source: str) -> list[str]:
    """The terms of a function: its documentation and its source, including comments."""
    return subtokens(f"{doc}\n{source}")


def write_postings(folder: Path, documents: Iterable[Sequence[str]]) -> None:
    """Writes the postings of a segment's functions, in order and at most 65,536."""
    from src.utils.bm25 import BM25

    counted = BM25(documents, dtype=np.float32)
    counts_MV = counted.counts_MV
    hashes_V = np.array([hash_of(term) for term in counted.vocabulary], np.uint64)
    order_V = np.argsort(hashes_V)
    counts_VM = counts_MV.T.tocsr()[order_V]
    counts_VM.sort_indices()
    arrays = {
        "terms": hashes_V[order_V],
        "term_starts": counts_VM.indptr.astype(np.int64),
        "term_items": counts_VM.indices.astype(np.uint16),
        "term_counts": np.minimum(counts_VM.data, np.iinfo(np.uint16).max).astype(np.uint16),
        "lengths": np.asarray(counts_MV.sum(axis=1)).ravel().astype(np.int32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def statistics(segments: Sequence[Path]) -> dict[str, float]:
    """What BM25 needs of all functions together: their mean length in terms, and the mean IDF of all terms."""
    if not segments:
        return {"mean_length": 0, "mean_idf": 0}
    held = [Postings(folder) for folder in segments]
    items = sum(len(postings.lengths) for postings in held)
    terms, term_of = np.unique(np.concatenate([postings.terms for postings in held]), return_inverse=True)
    in_segment = np.concatenate([np.diff(postings.starts) for postings in held])  # functions that hold a term
    frequency_V = np.bincount(term_of, in_segment, minlength=len(terms))
    idf_V = np.log(items - frequency_V + 0.5) - np.log(frequency_V + 0.5)
    length = sum(int(postings.lengths.sum(dtype=np.int64)) for postings in held) / max(1, items)
    return {"mean_length": length, "mean_idf": float(idf_V.mean()) if len(terms) else 0.0}


class Postings:
    """The postings of one segment."""

    def __init__(self, folder: Path) -> None:
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in FILES]
        self.terms, self.starts, self.items, self.counts, self.lengths = arrays

    def of(self, term: int) -> slice:
        """Where the postings of a term are; empty for a term that no function holds."""
        place = int(np.searchsorted(self.terms, np.uint64(term)))
        if place == len(self.terms) or self.terms[place] != term:
            return slice(0, 0)
        return slice(int(self.starts[place]), int(self.starts[place + 1]))


class Lexical:
    """BM25 of a query against every function of an index."""

    def __init__(self, folders: Sequence[Path], facts: Mapping[str, Any]) -> None:
        self.segments = [Postings(folder) for folder in folders]
        self.length, self.mean_idf = facts["mean_length"] or 1.0, facts["mean_idf"]
        self.ends = np.cumsum([len(postings.lengths) for postings in self.segments])

    def scores(self, query: str) -> np.ndarray:
        """float32 (M,); 0 where a function holds none of the query's terms."""
        items = int(self.ends[-1]) if len(self.ends) else 0
        scores_M = np.zeros(items, np.float32)
        for term, times in Counter(subtokens(query)).items():
            found = [postings.of(hash_of(term)) for postings in self.segments]
            frequency = sum(own.stop - own.start for own in found)
            if not frequency:
                continue
            idf = math.log(items - frequency + 0.5) - math.log(frequency + 0.5)
            factor = times * (idf if idf >= 0 else EPSILON * self.mean_idf) * (K1 + 1)
            for postings, own, end in zip(self.segments, found, self.ends):
                items_P, counts_P = postings.items[own], postings.counts[own].astype(np.float32)
                penalty_P = K1 * (1 - B + B * postings.lengths[items_P] / self.length)
                scores_M[end - len(postings.lengths) : end][items_P] += factor * counts_P / (counts_P + penalty_P)
        return scores_M


def hash_of(text: str) -> int:
    """64 bits of a text's BLAKE2."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")
