"""One training: model and data under a seed, and the fit itself. The main job and the estimators' models share it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf

from src.backbones.base import Encoder
from src.corpora.base import Corpus
from src.datamodule import CodeSearchData
from src.module import CodeSearchModule
from src.runs.checkpoint_file import previous
from src.runs.restore import load_checkpoint, restore_encoder
from src.runs.resume import agreed
from src.runtime.distributed import load_state
from src.runtime.launch import prepare_launch
from src.sweeps import trial
from src.training.auto_batch import AutoBatch, fit_or_halve
from src.training.build import build_data, build_loss, build_module, compile_encoder, load_weights
from src.training.callbacks import EpochLines, NegativeWeights, Throughput
from src.training.checkpointing import KeepBest, SafeCheckpoints, SaveLast
from src.training.nonfinite import NonFiniteGuard
from src.utils.errors import InputError
from src.utils.resource_errors import explaining_memory
from src.weights.base import Estimator


@dataclass(frozen=True)
class FitResult:
    """A finished training: the module holds the weights of the epoch that is kept, and so does `checkpoint`."""

    trainer: L.Trainer
    checkpoint: Path
    val_mrr: float  # of the kept epoch
    seconds: float
    pairs_per_second: float


def build_model_and_data(
    cfg: DictConfig, corpus: Corpus, estimator: Estimator | None = None
) -> tuple[CodeSearchModule, CodeSearchData]:
    """Model and data under the seed; what cannot work fails before anything is downloaded or learnt."""
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    loss = build_loss(cfg)
    start_from = load_checkpoint(cfg.checkpoint) if cfg.checkpoint else None
    encoder: Encoder = instantiate(cfg.backbone.encoder)
    data = build_data(cfg, corpus, encoder, estimator, weigh=loss.needs_similarity)
    data.setup("fit")
    if start_from:
        restore_encoder(encoder, start_from, cfg, cfg.checkpoint)
    else:
        encoder.fit(corpus.split("train").pairs)
    compile_encoder(encoder, cfg.trainer.get("compile", False))
    module = build_module(cfg, encoder, loss)
    if start_from:
        load_weights(module, start_from, cfg.checkpoint)
    if cfg.data.positives == "query":
        check_dropout(module, data)
    module.run_config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    return module, data


def check_dropout(module: CodeSearchModule, data: CodeSearchData) -> None:
    """Raises InputError where the two embeddings of one query are the same: SimCSE would have nothing to learn from."""
    features = module.encoder.queries([data.corpus.split("train").pairs[0].query] * 2)
    with isolate_rng():
        first, second = module.encoder.train()(features)
    if bool((first == second).all()):
        raise InputError(
            "data.positives=query needs dropout, since nothing else tells a query's two embeddings apart; "
            "found none: set backbone.encoder.dropout=0.1"
        )


def fit(
    cfg: DictConfig,
    module: CodeSearchModule,
    data: CodeSearchData,
    folder: Path,
    loggers: Sequence[Logger] = (),
    keep_last: bool = True,
    resume_from: Path | None = None,
) -> FitResult:
    """Trains; `folder`/checkpoints then holds best.ckpt, the epoch kept by cfg.keep, and last.ckpt if `keep_last`.

    Args:
        resume_from: a checkpoint of the same training, which continues from there.
    """
    last = folder / "checkpoints" / "last.ckpt"
    while True:
        kept = KeepBest(last.parent, "val/mrr" if cfg.keep == "best" else None)
        saving = SaveLast(last, cfg.trainer.get("save_every_n_minutes"), cfg.trainer.get("save_every_n_steps"))
        throughput = Throughput()
        trainer = _trainer(cfg, data, folder, loggers, throughput, kept, saving)
        with explaining_memory(cfg, data.chunk), _explaining_interval():
            if fit_or_halve(trainer, module, data, agreed(trainer, resume_from)):
                break
        resume_from = last
    val_mrr = kept.best_model_score if cfg.keep == "best" else saving.val_mrr
    if not kept.best_model_path or val_mrr is None:
        raise InputError(
            "no checkpoint was chosen, since no validation ran: set trainer.check_val_every_n_epoch to at most "
            f"trainer.max_epochs={cfg.trainer.max_epochs}, and trainer.max_steps to an epoch's steps or more"
        )
    checkpoint = Path(kept.best_model_path)
    # Rank 0 alone reads it: others need not see its disk.
    load_state(module, load_checkpoint(checkpoint)["state_dict"] if trainer.is_global_zero else {}, module.rank_slice)
    if trainer.is_global_zero:
        for path in (checkpoint, last):
            previous(path).unlink(missing_ok=True)
        if not keep_last:
            last.unlink(missing_ok=True)
    return FitResult(trainer, checkpoint, float(val_mrr), saving.seconds, throughput.pairs_per_second)


def _trainer(
    cfg: DictConfig,
    data: CodeSearchData,
    folder: Path,
    loggers: Sequence[Logger],
    throughput: Throughput,
    kept: KeepBest,
    saving: SaveLast,
) -> L.Trainer:
    """lightning.Trainer as a training needs it; `throughput`, `kept` and `saving` are read after the training."""
    in_terminal = sys.stdout.isatty()
    callbacks: list[Callback] = [
        NonFiniteGuard(cfg.trainer.get("on_nonfinite", "stop")),
        throughput,
        NegativeWeights(),
        kept,
        saving,
        AutoBatch(cfg.trainer.get("auto_batch", False), saving),
        *([] if in_terminal else [EpochLines()]),
        *trial.callbacks(cfg),
    ]
    trainer = instantiate(
        cfg.trainer,
        callbacks=callbacks,
        plugins=[SafeCheckpoints()],
        logger=list(loggers),
        default_root_dir=str(folder),
        enable_model_summary=False,
        log_every_n_steps=min(cfg.trainer.log_every_n_steps, data.steps_per_epoch),
        enable_progress_bar=in_terminal,
        use_distributed_sampler=False,  # `data` gives every rank its part
    )
    prepare_launch(trainer)
    return trainer


@contextmanager
def _explaining_interval() -> Iterator[None]:
    """Inside, Lightning's error about trainer.val_check_interval, which needs the batches of an epoch, is one line."""
    try:
        yield
    except ValueError as error:
        if "`val_check_interval`" not in str(error):
            raise
        raise InputError(f"trainer.val_check_interval:{str(error).split('. ')[0]}") from error
