"""A device that has no memory for a step: the step is made again in smaller parts, and nothing else is another."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import torch
from omegaconf import DictConfig

from src.backbones.tiny import TinyEncoder
from src.config.compose import compose_config
from src.module import CodeSearchModule
from src.runs.metrics_csv import MetricsCSV
from src.training.auto_batch import run_test
from src.training.fit import build_model_and_data, fit
from src.utils.errors import InputError, ResourceError
from tests.faults.training import StoppedError, differences, recorded_batches
from tests.support.doubles import ListCorpus

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # as src.cli does
# 23 pairs in batches of 5: 4 steps an epoch, 2 epochs; with dropout, and saved before every step.
GIVEN = (
    *("loss=infonce", "weights=none", "data.batch_size=5", "trainer.max_epochs=2", "trainer.accelerator=cpu"),
    *("backbone.encoder.embedding_size=16", "backbone.encoder.buckets=101", "backbone.encoder.dropout=0.3"),
    *("trainer.log_every_n_steps=1", "trainer.save_every_n_steps=1", "data.num_workers=0"),
)
AUTO = "trainer.auto_batch=true"


def full() -> Exception:
    """A new one each time: an exception keeps the frames through which it went."""
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nmore")


def configured(*overrides: str) -> DictConfig:
    return compose_config("train", [*GIVEN, *overrides])


def trained(folder: Path, *overrides: str, resume_from: Path | None = None) -> dict:
    """The last checkpoint of a training with dropout; `folder` has its metrics.csv."""
    cfg = configured(*overrides)
    folder.mkdir(exist_ok=True)
    fit(cfg, *build_model_and_data(cfg, ListCorpus()), folder, [MetricsCSV(folder)], resume_from=resume_from)
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def stopped(folder: Path, before: tuple[int, int], *overrides: str) -> Path:
    """The checkpoint of a training that ended just before a batch (epoch, batch)."""
    with recorded_batches(before), pytest.raises(StoppedError):
        trained(folder, *overrides)
    return folder / "checkpoints" / "last.ckpt"


@contextmanager
def memory_for(
    texts: int, from_step: int = 0, error: Callable[[], Exception] = full, training: bool = True
) -> Iterator[list[int]]:
    """A device that encodes no more texts at once, from a step of the optimiser on; yields what it encoded."""
    encoded: list[int] = []
    modules: list[CodeSearchModule] = []  # the one that embeds
    embed, forward = CodeSearchModule.embed, TinyEncoder.forward

    def embed_noted(self: CodeSearchModule, side: dict) -> torch.Tensor:
        modules[:] = [self]
        return embed(self, side)

    def encode(self: TinyEncoder, features: dict) -> torch.Tensor:
        number = len(features["rows"])
        if modules and self.training == training and modules[0].global_step >= from_step:
            if number > texts:
                raise error()
            encoded.append(number)
        return forward(self, features)

    with (
        mock.patch.object(CodeSearchModule, "embed", embed_noted),
        mock.patch.object(TinyEncoder, "forward", encode),
    ):
        yield encoded


def other_than(one: dict, other: dict) -> list[str]:
    """Where two checkpoints differ to the last bit, less what was asked and what was found."""
    for state in (one, other):
        state.pop("run_config")
        state.pop("auto_batch")
    return differences(one, other)


def logged(folder: Path) -> list[list[str]]:
    """Rows of metrics.csv without the column that is a time."""
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    timed = [i for i, name in enumerate(rows[0]) if name == "train/pairs_per_second"]
    return [[cell for i, cell in enumerate(row) if i not in timed] for row in rows]


@pytest.mark.parametrize("given", [(), ("trainer.accumulate_grad_batches=2",), ("data.token_budget=300",)], ids=str)
def test_a_failure_of_the_first_step_gives_the_run_of_a_smaller_chunk(tmp_path, capsys, given: tuple[str, ...]) -> None:
    with memory_for(1):
        found = trained(tmp_path / "found", AUTO, *given)
    assert found["auto_batch"] == {"chunk": 1}
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("trainer.auto_batch: ")]
    assert len(said) == 2
    assert (
        "at step 1 (CUDA out of memory. Tried to allocate 20 GiB): trainer.grad_cache_chunk goes from null to 2"
        in (said[0])
    )
    assert "goes from 2 to 1; the step is repeated with the same batch and the same negatives" in said[1]
    assert other_than(found, trained(tmp_path / "given", "trainer.grad_cache_chunk=1", *given)) == []
    assert logged(tmp_path / "found") == logged(tmp_path / "given")


# Steps of the optimiser, and (epoch, batch) before which they begin.
@pytest.mark.parametrize(
    ("step", "before", "given"),
    [
        (2, (0, 2), ()),
        (3, (0, 3), ()),  # the last of an epoch
        (4, (1, 0), ()),  # the first of one
        (1, (0, 2), ("trainer.accumulate_grad_batches=2",)),
        (2, (1, 0), ("trainer.accumulate_grad_batches=2",)),
    ],
)
def test_a_failure_of_a_later_step_continues_as_if_resumed_with_a_smaller_chunk(tmp_path, step, before, given) -> None:
    with recorded_batches() as seen, memory_for(2, step) as encoded:
        found = trained(tmp_path / "found", AUTO, *given)
    assert max(encoded) == 2
    expected = trained(
        tmp_path / "given",
        *given,
        "trainer.grad_cache_chunk=2",
        resume_from=stopped(tmp_path / "given", before, *given),
    )
    assert other_than(found, expected) == []
    assert logged(tmp_path / "found") == logged(tmp_path / "given")
    # The batch that failed comes again, and no other.
    places = [(epoch, batch) for epoch, batch, _ in seen]
    assert places.count(before) == 2
    assert len(places) == 9


def failing_once(of: type, method: str, call: int) -> Callable:
    """`of.method`, which the device has no memory for at that call, after its work was done."""
    original, calls = getattr(of, method), []

    def fails(self: object, *arguments: object, **options: object) -> object:
        result = original(self, *arguments, **options)
        calls.append(1)
        if len(calls) == call:
            raise full()
        return result

    return fails


@pytest.mark.parametrize(("call", "before"), [(2, (0, 0)), (3, (0, 2)), (4, (0, 2))])
@pytest.mark.parametrize("method", ["training_step", "backward"])
def test_accumulated_gradients_are_not_lost_or_counted_twice(tmp_path, method: str, call: int, before: tuple) -> None:
    given = ("trainer.accumulate_grad_batches=2",)
    with mock.patch.object(CodeSearchModule, method, failing_once(CodeSearchModule, method, call)):
        found = trained(tmp_path / "found", AUTO, *given)
    begun = stopped(tmp_path / "given", before, *given) if before != (0, 0) else None
    expected = trained(tmp_path / "given", *given, "trainer.grad_cache_chunk=2", resume_from=begun)
    assert other_than(found, expected) == []
    assert logged(tmp_path / "found") == logged(tmp_path / "given")


def test_a_text_that_does_not_fit_alone_is_refused_with_advice(tmp_path) -> None:
    with memory_for(0), pytest.raises(ResourceError, match=r"one text at a time.*data\.batch_size=2 \(found 5"):
        trained(tmp_path, AUTO)


def test_other_errors_and_errors_of_the_optimizer_are_raised(tmp_path, capsys) -> None:
    with (
        memory_for(2, error=lambda: RuntimeError("shapes cannot be multiplied")),
        pytest.raises(RuntimeError, match="shapes"),
    ):
        trained(tmp_path / "other", AUTO)
    with memory_for(2), pytest.raises(ResourceError, match=r"trainer\.auto_batch=true continues"):
        trained(tmp_path / "off")
    # The optimiser may have changed some weights.
    with mock.patch("torch.optim.AdamW.step", failing_once(torch.optim.AdamW, "step", 1)), pytest.raises(ResourceError):
        trained(tmp_path / "optimizer", AUTO)
    assert "trainer.auto_batch" not in capsys.readouterr().out


def test_a_training_that_resumes_keeps_the_chunk_that_was_found(tmp_path, capsys) -> None:
    with recorded_batches((1, 1)), memory_for(2), pytest.raises(StoppedError):
        trained(tmp_path / "it", AUTO)
    last = tmp_path / "it" / "checkpoints" / "last.ckpt"
    capsys.readouterr()
    with memory_for(2) as encoded:
        found = trained(tmp_path / "it", AUTO, resume_from=last)
    assert "auto_batch" not in capsys.readouterr().out
    assert max(encoded) == 2
    assert other_than(found, trained(tmp_path / "given", "trainer.grad_cache_chunk=2")) == []


def test_a_validation_without_memory_is_repeated_in_smaller_batches(tmp_path, capsys) -> None:
    with memory_for(3, training=False) as encoded:
        found = trained(tmp_path / "found", AUTO, "data.eval_batch_size=8")
    assert max(encoded) <= 2
    assert "in an evaluation" in (said := capsys.readouterr().out)
    assert "data.eval_batch_size goes from 4 to 2; the evaluation is repeated" in said
    assert found["auto_batch"] == {"eval_batch_size": 2}
    assert other_than(found, trained(tmp_path / "given", "data.eval_batch_size=2")) == []
    assert logged(tmp_path / "found") == logged(tmp_path / "given")


def test_a_test_without_memory_is_repeated_in_smaller_batches(tmp_path, capsys) -> None:
    ranks = {}
    for name, texts, given in (("given", 9, ("data.eval_batch_size=2",)), ("off", 3, ()), ("found", 3, (AUTO,))):
        cfg = configured(*given)
        module, data = build_model_and_data(cfg, ListCorpus())
        fitted = fit(cfg, module, data, tmp_path / name)
        with memory_for(texts, training=False):
            if name == "off":
                with pytest.raises(
                    ResourceError, match=r"in the test .*saved: the same command with trainer\.auto_batch"
                ):
                    run_test(fitted.trainer, module, data)
            else:
                run_test(fitted.trainer, module, data)
                ranks[name] = module.test_ranks.tolist()
    assert "data.eval_batch_size goes from 4 to 2; the evaluation is repeated" in capsys.readouterr().out
    assert ranks["found"] == ranks["given"]
    # In ranking, which no smaller batch helps.
    with (
        mock.patch.object(CodeSearchModule, "_rank", side_effect=full()),
        pytest.raises(ResourceError, match="in the test"),
    ):
        run_test(fitted.trainer, module, data)


def test_a_step_that_failed_releases_its_memory(tmp_path) -> None:
    kept: list[weakref.ref] = []
    forward = TinyEncoder.forward

    def encode(self: TinyEncoder, features: dict) -> torch.Tensor:
        if not self.training or len(features["rows"]) <= 2:
            if kept and kept[-1]() is not None:
                raise AssertionError("the activations of the step that failed are there still")
            return forward(self, features)
        activations = forward(self, features)
        kept.append(weakref.ref(activations))
        raise full()

    with mock.patch.object(TinyEncoder, "forward", encode):
        trained(tmp_path, AUTO)
    assert len(kept) == 1


@pytest.mark.parametrize(
    "overrides",
    [("trainer.devices=2",), ("trainer.devices=auto",), ("trainer=ddp",), ("trainer.num_nodes=2",)],
)
def test_auto_batch_is_refused_on_several_devices(overrides: tuple[str, ...]) -> None:
    from src.training.preflight import check_trainer

    check_trainer(configured(AUTO))
    check_trainer(configured(AUTO, "trainer.devices=[0]"))
    check_trainer(configured(*overrides))
    with pytest.raises(
        InputError, match=r"trainer\.auto_batch=true: expected one device .*trainer\.grad_cache_chunk=N"
    ):
        check_trainer(configured(AUTO, *overrides))


def test_auto_batch_does_not_change_the_identity_of_a_run(monkeypatch) -> None:
    from src.runs.resume import identity

    assert identity(configured(AUTO)) == identity(configured())
    assert identity(configured("trainer.grad_cache_chunk=2")) != identity(configured())
