"""The keys of a training that are not arguments of a `_target_`: the type of each, and a sentence about it.

Defaults are in conf/ alone; a field that has a default here may be missing there. A new key needs its line in the yaml,
a field here, and a sentence under `Args:`. An option of a group needs nothing here: see src/config/arguments.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from src.config.choices import Pooling
from src.config.types import Count, Effect, Node, NotNegative, Positive, Whole

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]  # numpy's range
Batch = Annotated[int, Ge(2)]
Similarity = Literal["dot", "cosine"]
LossBlock = Count | Literal["auto"] | None
TokenBudget = Count | Literal["auto"] | None
Workers = Whole | Literal["auto"]
Positives = Literal["code", "query"]


@dataclass
class Recipe:
    """Hyper-parameters that suit a backbone; the keys that take them as default can be set one by one.

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
    compare_infonce: Annotated[bool, Effect.NONE]


@dataclass
class Backbone:
    """An option of conf/backbone.

    Args:
        encoder: the model that embeds queries and codes.
        recipe: hyper-parameters that suit the encoder.
        name: name of a model on the Hugging Face hub, or a folder written by save_pretrained.
        pooling: how the embedding of a text is made from those of its tokens.
        lora: low-rank matrices that are trained while the weights are frozen.
        query: the encoder of the queries.
        code: the encoder of the codes.
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
        display: name of the language on pages.
    """

    name: str
    display: str


@dataclass
class Model:
    """How scores are computed from embeddings.

    Args:
        similarity: similarity of the embeddings of a query and a code.
        score_scale: factor of the similarities, 1 / temperature.
        loss_block: number of rows of scores that the loss reads at a time; null reads all of them in one matrix.
    """

    similarity: Similarity
    score_scale: Positive
    loss_block: Annotated[LossBlock, Effect.ROUNDING]


@dataclass
class Optimizer:
    """AdamW and its schedule.

    Args:
        learning_rate: peak of the learning rate, between linear warm-up and linear decay.
        weight_decay: weight decay of matrices; biases, norms and other vectors are not decayed.
        warmup: fraction of all steps in which the learning rate rises.
    """

    learning_rate: NotNegative
    weight_decay: NotNegative
    warmup: Annotated[float, Ge(0), Le(1)]


@dataclass
class Data:
    """Size and preparation of batches.

    Args:
        batch_size: number of pairs in a step, on all devices together; a query has batch_size - 1 in-batch negatives.
        eval_batch_size: number of texts in an evaluation batch.
        token_budget: number of padded tokens that are encoded at once; null encodes whole batches.
        positives: what a query is paired with, its code or itself.
        num_workers: number of processes that prepare batches while the model trains.
    """

    batch_size: Batch
    eval_batch_size: Annotated[Count, Effect.ROUNDING]
    token_budget: Annotated[TokenBudget, Effect.ROUNDING]
    positives: Positives
    num_workers: Annotated[Workers, Effect.NONE]


@dataclass
class Negatives:
    """What counts as a negative.

    Args:
        mask_duplicates: whether copies of a row's own query or code are excluded from its negatives.
        mined: file written by python -m src.mine, whose hard negatives are further columns of every batch.
        mined_per_query: number of mined negatives that each query adds to its batch.
    """

    mask_duplicates: bool
    mined: str | None
    mined_per_query: Count


@dataclass
class Trainer:
    """Keys of conf/trainer: our own, besides lightning.Trainer's, and those of Lightning's that suit the machine.

    Args:
        accelerator: what it trains on, such as cpu or gpu.
        devices: number of devices, auto for all of them, or a list of their numbers.
        num_nodes: number of machines.
        strategy: how several devices train one model.
        log_every_n_steps: how often metrics are logged.
        grad_cache_chunk: number of texts of a training batch that are encoded at once, and again in the backward pass
            (gradient caching); None encodes the whole batch.
        auto_batch: whether a step that runs out of memory is repeated with half as many texts at once, down to 1; on
            one device only.
        compile: whether torch.compile compiles the encoder; a name is that of its backend.
        save_every_n_minutes: number of minutes after which last.ckpt is written within an epoch; None: only at its end.
        save_every_n_steps: number of steps after which last.ckpt is written within an epoch; None: only at its end.
        on_nonfinite: whether a NaN or inf loss or gradient ends the run, or that step is skipped.
    """

    accelerator: Annotated[str, Effect.ROUNDING] = "auto"
    devices: Annotated[list[int] | str | int, Effect.ROUNDING] = "auto"
    num_nodes: Annotated[int, Effect.ROUNDING] = 1
    strategy: Annotated[str, Effect.ROUNDING] = "auto"
    log_every_n_steps: Annotated[int | None, Effect.ROUNDING] = None
    grad_cache_chunk: Annotated[Count | None, Effect.ROUNDING] = None
    auto_batch: Annotated[bool, Effect.NONE] = False
    compile: Annotated[bool | str, Effect.ROUNDING] = False
    save_every_n_minutes: Annotated[Positive | None, Effect.NONE] = None
    save_every_n_steps: Annotated[Count | None, Effect.NONE] = None
    on_nonfinite: Literal["stop", "skip"] = "stop"


@dataclass
class Sweep:
    """A grid of runs, which needs -m.

    Args:
        grid: values of each key, as they are typed on the command line.
        rerun: which cells run when the same sweep is started again.
    """

    grid: Node
    rerun: Literal["missing", "failed", "all"]


@dataclass
class Train:
    """Train a model, test it, and compare it with InfoNCE and BM25.

    Args:
        seed: seed of weights, batches and dropout.
        cache: folder of harvests, tokens, and models of estimators; null caches nothing.
        resume: which run is resumed: the latest unfinished one of the same command (auto), none (never), or the one in
            a run directory or of a checkpoint (its path).
        checkpoint: checkpoint file whose weights the training starts from.
        compare_infonce: whether plain InfoNCE is also trained, for comparison.
        keep: which epoch is tested and kept as best.ckpt, the best one on valid or the last one.
        loss: the loss of a query and its candidates.
        weights: the estimator of the similarity between a query and its negatives.
        lang: the programming language.
        backbone: the encoder and the hyper-parameters that suit it.
        corpus: the pairs of queries and codes.
        batching: how the pairs of a batch are chosen.
        trainer: devices, precision and number of epochs.
        logger: where learning curves are logged.
        sweep: a grid of runs, which needs -m.
        model: how scores are computed from embeddings.
        optimizer: AdamW and its schedule.
        data: size and preparation of batches.
        negatives: what counts as a negative.
    """

    seed: Seed
    cache: Annotated[str | None, Effect.NONE]
    resume: Annotated[Literal["auto", "never"] | str, Effect.NONE]
    checkpoint: str | None
    compare_infonce: Annotated[bool, Effect.NONE]
    keep: Literal["best", "last"]
    loss: Node
    weights: Node
    lang: Annotated[Node, Lang]
    backbone: Annotated[Node, Backbone]
    corpus: Node
    batching: Node
    trainer: Annotated[Node, Trainer]
    logger: Annotated[Mapping[str, Node], Effect.NONE]
    sweep: Annotated[Node, Sweep, Effect.NONE]
    model: Annotated[Node, Model]
    optimizer: Annotated[Node, Optimizer]
    data: Annotated[Node, Data]
    negatives: Annotated[Node, Negatives]
