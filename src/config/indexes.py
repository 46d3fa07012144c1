"""The keys of the commands that make an index, search it and serve it; read before torch is, which takes a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, Lt

from src.config.choices import MOST, Fusion, Host, Language, Skipped
from src.config.types import Count, Whole


@dataclass
class Index:
    """Index your own code with the model of a finished run; the same command again embeds only what changed.

    Args:
        run: directory of a finished run; null is the model that made the index.
        checkpoint: checkpoint file, in place of the run's best one.
        roots: folders (repositories, packages) or .zip archives of sources; [] is those of the index.
        out: the index's folder.
        skip: files that are left out.
        workers: processes that parse; null is one per core, 0 this process alone.
        batch_size: functions that are encoded together.
        exact_below: distinct functions up to which every query is compared with all; more are searched approximately.
        rebuild: whether it is made anew, with another model for instance; the old one answers until then.
    """

    run: str | None
    checkpoint: str | None
    roots: str | Sequence[str]
    out: str | None
    skip: Skipped | Sequence[Skipped]
    workers: Whole | None
    batch_size: Count
    exact_below: Whole
    rebuild: bool


@dataclass
class Search:
    """Search an index in the terminal; without a query it asks for one.

    Args:
        index: folder that python -m src.index wrote.
        query: what the function does; or the words on the command line.
        top: answers.
        lang: languages of the answers; null is all.
        path: files such as src/*.py, or a list of such patterns, in which * stands for any signs; null is all.
        fusion: none asks the model alone, rrf the model and BM25 together.
        exact: whether the search is never approximate, however large the index.
        lines: of each answer's code; 0 is all of them.
        run: where the model is now, if not where it was.
        checkpoint: the same, as a file.
        json: whether one JSON document is printed in place of the answers.
    """

    index: str | None
    query: str | None
    top: Annotated[int, Ge(1), Le(MOST)]
    lang: Language | Sequence[Language] | None
    path: str | Sequence[str] | None
    fusion: Fusion
    exact: bool
    lines: Whole
    run: str | None
    checkpoint: str | None
    json: bool


@dataclass
class Serve:
    """Search an index in a browser, on this machine alone.

    Args:
        index: folder that python -m src.index wrote.
        index2: another one, whose answers are shown beside the first's.
        port: of the page; 0 is any that is free.
        host: name of this machine; nothing else is served.
        run: where the model of index is now, if not where it was.
        run2: the same of index2.
    """

    index: str | None
    index2: str | None
    port: Annotated[int, Ge(0), Lt(2**16)]
    host: Host
    run: str | None
    run2: str | None
