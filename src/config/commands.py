"""The keys of the other commands, and which class is whose. How a key is added: src/config/schema.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from src.config.arguments import arguments
from src.config.choices import ExportFormat
from src.config.direct_commands import Bench, Cache, Index, Report, Search, Serve
from src.config.schema import Lang, Seed, Train
from src.config.types import Count, FreeWords, Jaccard, Node, NotNegative, Positive, Whole


@dataclass
class InspectWeights(Train):
    """Measure how well estimators find known false negatives.

    Args:
        estimators: options of weights that are compared.
        threshold: Jaccard index of sub-token sets from which two texts count as similar.
        batches: number of ordinary batches that are inspected.
        most: number of planted rows of each kind of known false negatives.
        sample: largest number of training pairs that are inspected.
    """

    estimators: Sequence[str] | str
    threshold: Jaccard
    batches: Count
    most: Count
    sample: Annotated[int, Ge(4)]


@dataclass
class Eval:
    """Evaluate a finished run again, also on another corpus.

    Args:
        run: directory of a finished run.
        checkpoint: checkpoint file that is read instead of the run's best one.
        cache: folder of harvests; null takes the run's.
        accelerator: accelerator of the evaluation, such as cpu on a machine without a GPU; null takes the run's.
        corpus: the pairs of queries and codes; null takes the run's.
        lang: the programming language; null takes the run's.
    """

    run: str | None
    checkpoint: str | None
    cache: str | None
    accelerator: str | None
    corpus: Any = None  # refers to the run's language, and is checked with it
    lang: Annotated[Node | None, Lang] = None


@dataclass
class CorpusReport:
    """Measure sizes, duplicates, leaks and languages of a corpus.

    Args:
        corpus: the pairs of queries and codes.
        lang: the programming language.
        near: Jaccard index of sub-token sets from which two codes, or two queries, are near duplicates.
        sample: largest number of codes of a split that are parsed.
        seed: seed of the sample.
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
        corpus: the corpus that is downloaded.
        lang: the programming language.
        source: addresses and reader of the corpus's files.
        out: folder that the corpus is written to.
        attempts: number of requests to one mirror, each of which resumes where the last one stopped.
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
        roots: folders or .zip archives of source files.
        out: folder that the corpus is written to.
        workers: number of processes; null takes one per core, 0 works in this process.
        lang: the programming language.
    """

    roots: Sequence[str] | str
    out: str | None
    workers: Whole | None
    lang: Annotated[Node | None, Lang] = None


@dataclass
class Dashboard:
    """Make a W&B workspace and report of a project's runs.

    Args:
        project: name of the W&B project.
        entity: user or team whose project it is; null takes the API key's own.
        name: name of the workspace and of the report.
        timeout: seconds after which a server that does not answer counts as absent.
    """

    project: str
    entity: str | None
    name: str
    timeout: Positive


@dataclass
class Mine(Eval):
    """Mine hard negatives with a finished run's model.

    Args:
        weights: the estimator by which a candidate counts as another answer.
        out: file of the mined negatives; null is negatives.jsonl in this command's run directory.
        depth: number of candidates of a query that are looked at.
        per_query: number of negatives of a query that are kept.
        margin: share of the positive's score that the score of a negative must stay below.
        most_alike: share of a query's similarity with itself from which a candidate counts as another answer.
    """

    weights: Node | None = None
    out: str | None = None
    depth: Count = 0
    per_query: Count = 0
    margin: Jaccard = 0
    most_alike: Jaccard | None = None


@dataclass
class BenchmarkCorpus:
    """Corpora on this disk.

    Args:
        root: folders in CodeSearchNet's layout; null takes mteb's tasks.
        text: which fields of a row are read first; null reads those that the run's corpus reads.
    """

    root: str | Sequence[str] | None
    text: Literal["tokens", "source"] | None


@dataclass
class Benchmark:
    """Measure a finished run's model on other benchmarks.

    Args:
        run: directory of a finished run.
        checkpoint: checkpoint file that is read instead of the run's best one.
        cache: folder of harvests; null takes the run's.
        accelerator: accelerator of the evaluation; null takes the run's.
        tasks: names of mteb's tasks, which it downloads.
        corpus: corpora on this disk.
        languages: languages of corpus.root; null takes every folder that has a test split.
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
        format: format of the model.
        out: new folder that the model is written to; null is model in this command's run directory.
        push: repository on the Hugging Face hub, owner/name, that the model is uploaded to.
        private: whether a repository that is made by the upload is private.
    """

    run: str | None
    format: ExportFormat
    out: str | None
    push: str | None
    private: bool


# Commands as `python -m src` lists them.
GROUPS: dict[str, dict[str, Callable[..., Any]]] = {
    "Train and evaluate": {"train": Train, "eval": Eval},
    "Data": {"harvest": Harvest, "download": Download, "corpus_report": CorpusReport, "mine": Mine, "cache": Cache},
    "Analysis": {
        "report": Report,
        "inspect_weights": InspectWeights,
        "benchmark": Benchmark,
        "bench": Bench,
        "dashboard": Dashboard,
    },
    "Use": {"export": Export, "index": Index, "search": Search, "serve": Serve},
}
COMMANDS = {name: keys for commands in GROUPS.values() for name, keys in commands.items()}


def sentence_of(command: str) -> str:
    """What a command does, in one sentence: the first line of its dataclass's docstring."""
    return (COMMANDS[command].__doc__ or "").splitlines()[0]


def free_words_key(command: str) -> str | None:
    """The key that takes the words of a command line that are not KEY=VALUE, where the command has one."""
    items = arguments(COMMANDS[command]).items()
    return next((name for name, item in items if FreeWords() in getattr(item.annotation, "__metadata__", ())), None)
