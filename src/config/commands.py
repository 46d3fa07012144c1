"""The keys of the other commands, and which class is whose. How a key is added: src/config/schema.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

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


COMMANDS = {
    "train": Train,
    "inspect_weights": InspectWeights,
    "eval": Eval,
    "corpus_report": CorpusReport,
    "download": Download,
    "harvest": Harvest,
    "dashboard": Dashboard,
}
