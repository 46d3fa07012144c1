"""Search: from a query to the places that answer it, dense or fused with BM25, in all files or in some."""

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from src.deploy.encoder import Model
from src.deploy.index.nearest import NAME, Graph, best, rescored
from src.deploy.index.postings import Lexical
from src.deploy.index.query_options import check_options, checked_query
from src.deploy.index.store import MANIFEST, Index, Place, all_digests
from src.utils.errors import InputError

DEPTH = 1000  # of each ranking that is fused; items beyond it in both are not found


@dataclass(frozen=True)
class Hit:
    """A function that answers a query, and the places where it stands."""

    score: float  # by which the answers are sorted: similarity, or the fused score
    similarity: float  # cosine or dot product of the embeddings
    place: Place
    copies: list[Place]  # the same function elsewhere
    doc: str
    source: str
    state: str  # of the file since it was indexed: empty, `changed` or `gone`
    row: int  # of the place

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        place = self.place
        return {
            "path": place.shown,
            "line": place.start,
            "end_line": place.end,
            "name": place.name,
            "language": place.language,
            "score": round(self.score, 6),
            "similarity": round(self.similarity, 6),
            "doc": self.doc,
            "code": self.source,
            "state": self.state,
            "copies": [f"{copy.shown}:{copy.start}" for copy in self.copies],
        }


class Searcher:
    """An index and its model. Raises InputError where the model is not the one that made the index."""

    def __init__(self, folder: str | Path, run: str | None = None, checkpoint: str | None = None) -> None:
        self.folder = Path(folder).expanduser()
        self.index = Index.open(self.folder)
        if run is None and checkpoint is None:
            checkpoint = self.index.model["checkpoint"]
            if not Path(checkpoint).is_file():
                raise InputError(
                    f"the model of index {folder} is no longer at {checkpoint}: give its run directory, run=DIR"
                )
        self.model = Model.load(run, checkpoint)
        self._check()
        self._stamp = _stamp(self.folder)

    def _check(self) -> None:
        made = self.index.model
        if made["identity"] != self.model.identity:
            raise InputError(
                f"index {self.folder} was made with another model ({made['name']}, {made['identity']}, dimension "
                f"{self.index.dimension}) than {self.model.checkpoint} ({self.model.name}, {self.model.identity}): "
                "give that model's run, or make the index again with rebuild=true"
            )

    def refresh(self) -> None:
        """Opens the index again where another process has replaced it."""
        if _stamp(self.folder) != self._stamp:
            self.index, self._stamp = Index.open(self.folder), _stamp(self.folder)
            self.__dict__.pop("lexical", None)
            self.__dict__.pop("graph", None)
            self._check()

    @cached_property
    def lexical(self) -> Lexical:
        return Lexical([segment.folder for segment in self.index.segments], self.index.manifest["lexical"])

    @cached_property
    def graph(self) -> Graph | None:
        """The approximate search of a large index; None where it is searched exactly."""
        index = self.index
        return Graph(index.table / NAME, all_digests(index.segments)) if index.manifest.get("graph") else None

    def search(
        self,
        query: str,
        top: int = 10,
        languages: Sequence[str] = (),
        paths: Sequence[str] = (),
        fusion: str = "none",
        exact: bool = False,
    ) -> list[Hit]:
        """The best answers, at most `top`, best first; of nested functions, only the best one.

        Args:
            languages: only these; empty: all.
            paths: patterns such as `src/*.py`, of which a file's path must match one; empty: all files.
            fusion: `none` asks the model alone, `rrf` the model and BM25.
            exact: never approximate.

        Raises:
            InputError: an empty query, an unknown language or fusion, top out of range.
        """
        query = checked_query(query)
        check_options(top, languages, fusion)
        allowed_R = self._allowed(self._stamp, tuple(languages), tuple(paths))
        items, scores, similarity_of = self._ranked(query, 4 * top + 20, allowed_R, fusion, exact)
        hits: list[Hit] = []
        taken: dict[tuple[str, str], list[range]] = {}
        for item, score in zip(items.tolist(), scores.tolist()):
            rows = self.index.rows_of(item)
            rows = rows if allowed_R is None else rows[allowed_R[rows]]
            (place, row), *copies = sorted((self.index.place(row), row) for row in rows.tolist())
            lines = range(place.start, place.end + 1)
            own = taken.setdefault((place.root, place.path), [])
            if any(lines.start < other.stop and other.start < lines.stop for other in own):
                continue
            own.append(lines)
            doc, source = self.index.text(item)
            others = [copy for copy, _ in copies]
            hits.append(Hit(score, similarity_of[item], place, others, doc, source, place.state(), row))
            if len(hits) == top:
                break
        return hits

    def _ranked(
        self, query: str, k: int, allowed_R: np.ndarray | None, fusion: str, exact: bool
    ) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
        """Items and scores of the k best, best first, and the similarity of each."""
        index = self.index
        if not index.items:
            return np.empty(0, np.int64), np.empty(0), {}
        query_D = self.model.query(query)
        vectors = [segment.vectors_MD for segment in index.segments]
        allowed_M = None
        if allowed_R is not None:
            allowed_M = np.zeros(index.items, bool)
            allowed_M[index.rows["item"][allowed_R]] = True
        depth = max(k, DEPTH) if fusion == "rrf" else k
        if self.graph is not None and allowed_M is None and not exact:
            items, scores = rescored(query_D, vectors, self.graph.nearest(query_D, depth), depth)
        else:
            items, scores = best(query_D, vectors, depth, allowed_M)
        similarity_of = dict(zip(items.tolist(), scores.tolist()))
        if fusion == "rrf":
            lexical_M = self.lexical.scores(query)
            if allowed_M is not None:
                lexical_M[~allowed_M] = 0
            items, scores = reciprocal_ranks([items, first(lexical_M, depth)])
            items, scores = items[:k], scores[:k]
            if unknown := [item for item in items.tolist() if item not in similarity_of]:
                others = rescored(query_D, vectors, np.array(unknown), len(unknown))
                similarity_of.update(zip(others[0].tolist(), others[1].tolist()))
        return items, scores, similarity_of

    @lru_cache(maxsize=8)  # noqa: B019 - a process has one or two searchers
    def _allowed(self, stamp: object, languages: tuple[str, ...], paths: tuple[str, ...]) -> np.ndarray | None:
        """bool (R,): rows of the index of this stamp that pass the filters; None: all."""
        if not languages and not paths:
            return None
        matches = matcher(paths)
        allowed_F = np.array(
            [
                (not languages or file.language in languages) and matches(self.index.roots[file.root], file.path)
                for file in self.index.files
            ],
            bool,
        )
        return np.asarray(allowed_F[self.index.rows["file"]])


def matcher(patterns: Sequence[str]) -> Callable[[str, str], bool]:
    """Whether a file, given as root and path below it, matches one of the patterns; with none every file does.

    `*` matches any characters, slashes included; `src/*.py` matches at any depth, and the root's own name counts; a
    pattern that begins with / is a full path. A pattern without wildcards matches anywhere in the path.
    """
    any_of = re.compile("|".join(fnmatch.translate(_anywhere(pattern)) for pattern in patterns))
    return lambda root, path: any_of.match(f"{root}/{path}") is not None


def _anywhere(pattern: str) -> str:
    if not any(wildcard in pattern for wildcard in "*?["):
        pattern = f"{pattern}*" if pattern.endswith("/") else f"*{pattern}*"
    return pattern if pattern.startswith(("*", "/")) else f"*/{pattern}"


def reciprocal_ranks(rankings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Items and their scores, the sum over rankings of 1 / (60 + rank), best first; of equals the lowest item.

    Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods", which 60 is from.

    Args:
        rankings: items of each, best first and without repeats; a ranking adds nothing to an item that it lacks.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking.tolist(), 1):
            scores[item] = scores.get(item, 0.0) + 1 / (60 + rank)
    items = sorted(scores, key=lambda item: (-scores[item], item))
    return np.array(items, np.int64), np.array([scores[item] for item in items])


def first(scores_M: np.ndarray, k: int) -> np.ndarray:
    """The k items of highest positive score, best first; of equal scores the lowest item first."""
    found = np.flatnonzero(scores_M > 0)
    if len(found) > k:
        found = found[scores_M[found] >= np.partition(scores_M[found], -k)[-k]]
    return found[np.lexsort((found, -scores_M[found]))][:k]


def _stamp(folder: Path) -> tuple[int, int]:
    try:
        stat = (folder / MANIFEST).stat()
    except OSError:
        return 0, 0
    return stat.st_ino, stat.st_mtime_ns
