"""The keys of a training that are not arguments of a `_target_`: their types, and a sentence about each.

Defaults are in conf/ alone. A field with a default here may be left out there. A new key needs its line in the yaml, a
field here, and a sentence under `Args:`; an option of a group needs nothing here: see src/config/arguments.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from src.config.choices import Pooling
from src.config.types import Count, Node, NotNegative, Positive, Whole

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]  # numpy's range
Batch = Annotated[int, Ge(2)]
Similarity = Literal["dot", "cosine"]
LossBlock = Count | Literal["auto"] | None
TokenBudget = Count | Literal["auto"] | None
Workers = Whole | Literal["auto"]
Positives = Literal["code", "query"]


@dataclass
class Recipe:
    """What suits a backbone; the keys that follow it can be set one by one.

    Args:
        similarity: default of model.similarity.
        score_scale: default of model.score_scale.
        learning_rate: default of optimizer.learning_rate.
        weight_decay: default of optimizer.weight_decay.
        warmup: default of optimizer.warmup.
        batch_size: default of data.batch_size.
        epochs: default of trainer.max_epochs.
        compare_infonce: default of compare_infonce.
    """

    similarity: Similarity
    score_scale: Positive
    learning_rate: NotNegative
    weight_decay: NotNegative
    warmup: Annotated[float, Ge(0), Le(1)]
    batch_size: Batch
    epochs: Count
    compare_infonce: bool


@dataclass
class Backbone:
    """An option of conf/backbone.

    Args:
        encoder: what embeds queries and codes.
        recipe: what suits it.
        name: hub name, or folder written by save_pretrained.
        pooling: how the embedding of a text is made from those of its tokens.
        lora: small matrices that train beside frozen weights.
        query: the tower of the queries.
        code: the tower of the codes.
    """

    encoder: Node
    recipe: Annotated[Node, Recipe]
    name: str | None = None
    pooling: Pooling | None = None
    lora: Annotated[Node | None, "src.backbones.adapt.LoRA"] = None
    query: Node | None = None
    code: Node | None = None


# Two towers are backbones, which the class did not know while it was made.
Backbone.__annotations__["query"] = Backbone.__annotations__["code"] = Annotated[Node, Backbone]


@dataclass
class Lang:
    """An option of conf/lang.

    Args:
        name: the language's folder in CodeSearchNet's layout.
        display: what a page calls it.
    """

    name: str
    display: str


@dataclass
class Model:
    """Scores and their loss.

    Args:
        similarity: of the embeddings of a query and a code.
        score_scale: 1 / temperature of the scores.
        loss_block: rows of scores that the loss takes at a time; null is all of them in one matrix.
    """

    similarity: Similarity
    score_scale: Positive
    loss_block: LossBlock


@dataclass
class Optimizer:
    """AdamW.

    Args:
        learning_rate: peak of the linear warm-up and decay.
        weight_decay: of matrices only.
        warmup: fraction of all steps.
    """

    learning_rate: NotNegative
    weight_decay: NotNegative
    warmup: Annotated[float, Ge(0), Le(1)]


@dataclass
class Data:
    """Batches.

    Args:
        batch_size: pairs of a step on all devices together; each query has one negative less.
        eval_batch_size: texts of an evaluation batch.
        token_budget: padded tokens that are encoded at once; null is whole batches.
        positives: what a query is paired with, its code or itself.
        num_workers: processes that tokenise and compute similarities while the model trains.
    """

    batch_size: Batch
    eval_batch_size: Count
    token_budget: TokenBudget
    positives: Positives
    num_workers: Workers


@dataclass
class Negatives:
    """What counts as a negative.

    Args:
        mask_duplicates: whether copies of a row's own query or code are no negatives of it.
        mined: file of python -m src.mine, whose hard negatives are further columns of every batch.
        mined_per_query: how many of them each query of a batch brings.
    """

    mask_duplicates: bool
    mined: str | None
    mined_per_query: Count


@dataclass
class Sweep:
    """Of -m alone.

    Args:
        grid: values by key, as on the command line.
        rerun: which cells run when the sweep is typed again.
    """

    grid: Node
    rerun: Literal["missing", "failed", "all"]


@dataclass
class Train:
    """Train a model, test it, and compare it with plain InfoNCE and BM25.

    Args:
        seed: of weights, batches and dropout.
        cache: folder of harvests, tokens, and models of estimators; null keeps nothing.
        resume: auto goes on with the latest unfinished run of the same command, never begins a new one; or which run
            directory or checkpoint to go on with.
        checkpoint: checkpoint file whose weights the training starts from.
        compare_infonce: whether plain InfoNCE is trained too, and printed beside the result.
        keep: the epoch that is tested and kept as best.ckpt.
        loss: the row loss.
        weights: what estimates how alike a query and a negative are.
        lang: the language.
        backbone: the encoder and its recipe.
        corpus: the data.
        batching: which pairs meet in a batch.
        trainer: devices, precision and epochs.
        logger: where curves go.
        sweep: a grid of runs, with -m.
        model: scores and their loss.
        optimizer: AdamW.
        data: batches.
        negatives: what counts as one.
    """

    seed: Seed
    cache: str | None
    resume: str
    checkpoint: str | None
    compare_infonce: bool
    keep: Literal["best", "last"]
    loss: Node
    weights: Node
    lang: Annotated[Node, Lang]
    backbone: Annotated[Node, Backbone]
    corpus: Node
    batching: Node
    trainer: Node
    logger: Mapping[str, Node]
    sweep: Annotated[Node, Sweep]
    model: Annotated[Node, Model]
    optimizer: Annotated[Node, Optimizer]
    data: Annotated[Node, Data]
    negatives: Annotated[Node, Negatives]
