"""The keys of the commands that need neither a corpus nor a model from the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, Lt

from src.config.choices import MOST, Fusion, Host, Language, Measure, Skipped
from src.config.types import Count, FreeWords, Whole


@dataclass
class Index:
    """Index your own code with the model of a finished run.

    Args:
        run: directory of a finished run; null takes the model that made the index.
        checkpoint: checkpoint file that is read instead of the run's best one.
        roots: folders or .zip archives of source files; [] takes those of the index.
        out: folder of the index.
        skip: kinds of files that are left out.
        workers: number of processes that parse; null takes one per core, 0 parses in this process.
        batch_size: number of functions that are encoded together.
        exact_below: number of distinct functions above which the search is approximate.
        rebuild: whether the index is made again from nothing, such as with another model.
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
    """Search an index in the terminal.

    Args:
        index: folder that python -m src.index wrote.
        query: what the function does, in words; null asks for queries until the input ends.
        top: number of results.
        lang: languages of the results; null is all of them.
        path: paths of the results' files, such as src/*.py, where * matches any characters; null is all of them.
        fusion: whether the model ranks alone, or its ranking is fused with that of BM25 (reciprocal rank fusion).
        exact: whether the search is exact however large the index is.
        lines: number of lines that are shown of each result; 0 shows all of them.
        run: directory of the run whose model made the index, where that has been moved.
        checkpoint: checkpoint file of the model that made the index, where that has been moved.
        json: whether one JSON document is printed instead of text.
    """

    index: str | None
    query: Annotated[str | None, FreeWords()]
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
        index2: folder of a second index, whose results are shown side by side with those of the first.
        port: port of the page; 0 is any free one.
        host: address of this machine that is listened on; other machines are not served.
        run: directory of the run whose model made index, where that has been moved.
        run2: directory of the run whose model made index2, where that has been moved.
    """

    index: str | None
    index2: str | None
    port: Annotated[int, Ge(0), Lt(2**16)]
    host: Host
    run: str | None
    run2: str | None


@dataclass
class Report:
    """Compare finished runs: tables, paired tests and a page.

    Args:
        runs: run directories, or folders that hold some.
        to: folder that the files are written to; null is report in the first of runs.
        baseline: name of the row that the others are compared with.
        mix_pools: whether runs on several candidate pools get tables of their own, instead of an error.
        choose: whether a row shows the hyper-parameters that are best on valid, or each combination has its own row.
        texts: whether the corpora are read again, to show the texts of queries and not their ids alone.
        markdown: whether the tables are printed in Markdown.
        plot: image file (.png, .svg or .pdf) that the differences are drawn to.
    """

    runs: Annotated[str | Sequence[str], FreeWords()]
    to: str | None
    baseline: str
    mix_pools: bool
    choose: Literal["valid", "each"]
    texts: bool
    markdown: bool
    plot: str | None


@dataclass
class Bench:
    """Measure speed and memory next to other libraries.

    Args:
        quick: whether small sizes are measured, which takes about a minute.
        only: what is measured; null is all of it.
        model: folder of a pretrained encoder; null takes one of MiniLM's size with random weights.
        threads: number of CPU threads; null takes torch's default.
        clock: whether seconds are those of the wall clock or of the processor, for a machine that others also use.
        out: run directory; null is outputs/bench/ and the time.
        docs: document that the tables are written to, between its two marks.
    """

    quick: bool
    only: Measure | Sequence[Measure] | None
    model: str | None
    threads: Count | None
    clock: Literal["wall", "cpu"]
    out: str | None
    docs: str | None


@dataclass
class Cache:
    """List the cache's entries, or remove some.

    Args:
        action: list, or clear and the keys or kinds of the entries that are removed; clear alone removes all.
        root: folder of the cache.
    """

    action: Annotated[str | Sequence[str], FreeWords()]
    root: str
