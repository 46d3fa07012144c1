"""The keys of the other commands, and which class is whose. How a key is added: src/config/schema.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from src.config.indexes import Index, Search, Serve
from src.config.schema import Lang, Seed, Train
from src.config.types import Count, Jaccard, Node, NotNegative, Positive, Whole


@dataclass
class InspectWeights(Train):
    """Ask estimators for the known false negatives of a corpus.

    Args:
        estimators: options of weights to compare.
        threshold: Jaccard index of sub-token sets from which two texts are alike.
        batches: ordinary batches that are looked at.
        most: planted rows of each kind of known false negatives.
        sample: training pairs that are looked at, at most.
    """

    estimators: Sequence[str] | str
    threshold: Jaccard
    batches: Count
    most: Count
    sample: Annotated[int, Ge(4)]


@dataclass
class Eval:
    """Evaluate a finished run again.

    Args:
        run: directory of a finished run.
        checkpoint: checkpoint file, in place of the run's best one.
        cache: folder of harvests; null is the run's.
        accelerator: such as cpu on a machine without the GPU that trained it; null is the run's.
        corpus: the data; null is the run's.
        lang: the language; null is the run's.
    """

    run: str | None
    checkpoint: str | None
    cache: str | None
    accelerator: str | None
    corpus: Any = None  # refers to the run's language, and is checked with it
    lang: Annotated[Node | None, Lang] = None


@dataclass
class CorpusReport:
    """Measure what is in a corpus.

    Args:
        corpus: the data.
        lang: the language.
        near: Jaccard index of sub-token sets from which two codes, or two queries, are near duplicates.
        sample: codes of a split that are parsed, at most.
        seed: of that sample.
        cache: folder of harvests.
    """

    corpus: Node
    lang: Annotated[Node, Lang]
    near: Jaccard
    sample: Count
    seed: Seed
    cache: str | None


@dataclass
class Download:
    """Download a public corpus.

    Args:
        corpus: which one.
        lang: the language.
        source: where its files are, and who reads them.
        out: folder that the corpus is written to.
        attempts: requests to one mirror, each going on where the last broke off.
        pause: seconds before the second attempt, doubled for each further one.
        timeout: seconds without a byte after which a connection counts as broken.
    """

    corpus: Any
    lang: Annotated[Node, Lang]
    source: Node
    out: str
    attempts: Count
    pause: NotNegative
    timeout: Positive


@dataclass
class Harvest:
    """Harvest documented functions from source trees.

    Args:
        roots: folders or .zip archives of sources.
        out: folder that the corpus is written to.
        workers: processes; null is one per core, 0 this process alone.
        lang: the language.
    """

    roots: Sequence[str] | str
    out: str | None
    workers: Whole | None
    lang: Annotated[Node | None, Lang] = None


@dataclass
class Dashboard:
    """Make a W&B workspace and a report over a project's runs.

    Args:
        project: of the runs.
        entity: whose project it is; null is the key's own.
        name: of the workspace and the report.
        timeout: seconds until a server that does not answer counts as absent.
    """

    project: str
    entity: str | None
    name: str
    timeout: Positive


@dataclass
class Mine(Eval):
    """Mine hard negatives of a training split with a finished run's model.

    Args:
        weights: the estimator that guards against other answers.
        out: file of the negatives; null is negatives.jsonl in this command's own directory.
        depth: candidates of a query that are looked at.
        per_query: negatives that are kept of a query.
        margin: share of the answer's own score that a negative's stays below.
        most_alike: share of a query's similarity with itself from which a candidate counts as an answer.
    """

    weights: Node = None
    out: str | None = None
    depth: Count = 0
    per_query: Count = 0
    margin: Jaccard = 0
    most_alike: Jaccard | None = None


@dataclass
class BenchmarkCorpus:
    """Corpora of this disk.

    Args:
        root: folders in CodeSearchNet's layout; null is mteb's tasks.
        text: which fields come first; null is as the run's own corpus.
    """

    root: str | Sequence[str] | None
    text: Literal["tokens", "source"] | None


@dataclass
class Benchmark:
    """Measure a finished run's model on other benchmarks.

    Args:
        run: directory of a finished run.
        checkpoint: checkpoint file, in place of the run's best one.
        cache: folder of harvests; null is the run's.
        accelerator: null is the run's.
        tasks: of mteb, which downloads them.
        corpus: corpora of this disk.
        languages: of corpus.root; null is every folder with a test split.
    """

    run: str | None
    checkpoint: str | None
    cache: str | None
    accelerator: str | None
    tasks: str | Sequence[str]
    corpus: Annotated[Node, BenchmarkCorpus]
    languages: str | Sequence[str] | None


@dataclass
class Export:
    """Write a finished run's model for other libraries to load.

    Args:
        run: directory of a finished run.
        format: which library's.
        out: a new folder; null is model in this command's own directory.
        push: owner/name of the hub's repository that it is uploaded to.
        private: whether a repository that the push makes is private.
    """

    run: str | None
    format: str
    out: str | None
    push: str | None
    private: bool


COMMANDS = {
    "train": Train,
    "inspect_weights": InspectWeights,
    "eval": Eval,
    "corpus_report": CorpusReport,
    "download": Download,
    "harvest": Harvest,
    "dashboard": Dashboard,
    "mine": Mine,
    "benchmark": Benchmark,
    "export": Export,
    "index": Index,
    "search": Search,
    "serve": Serve,
}
