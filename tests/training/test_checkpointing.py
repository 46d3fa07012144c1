"""What a checkpoint holds, and which of two files of the best epoch it means."""

from __future__ import annotations

import random
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src.runs import checkpoint_file
from src.runtime.signals import SignalWatcher
from src.training.checkpointing import KeepBest, SaveLast, restore_step, rewind_progress, rng_state, set_rng_state
from src.utils.errors import Preempted


def drawn() -> list[float]:
    return [random.gauss(0, 1), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002


def test_a_checkpoint_restores_every_random_generator(tmp_path):
    random.gauss(0, 1)  # keeps its second number for later
    checkpoint_file.write({"randomness": rng_state()}, tmp_path / "it.ckpt")
    first = [drawn() for _ in range(3)]
    set_rng_state(checkpoint_file.read(tmp_path / "it.ckpt")["randomness"])
    assert [drawn() for _ in range(3)] == first


def counters() -> dict:
    done = {"ready": 6, "started": 5, "processed": 5, "completed": 5}
    now = {"ready": 2, "started": 1, "processed": 1, "completed": 1}
    validated = {"ready": 3, "started": 3, "processed": 3, "completed": 3}
    return {
        "epoch_loop.batch_progress": {"total": done, "current": now, "is_last_batch": False},
        "epoch_loop.val_loop.batch_progress": {"total": dict(validated), "current": dict(validated)},
    }


def test_a_batch_that_was_only_fetched_does_not_count_as_trained_on():
    progress = counters()
    rewind_progress(progress, 1, validating=False)
    batch = progress["epoch_loop.batch_progress"]
    assert set(batch["total"].values()) == {5}
    assert set(batch["current"].values()) == {1}
    assert progress["epoch_loop.val_loop.batch_progress"] == counters()["epoch_loop.val_loop.batch_progress"]


def test_an_interrupted_validation_does_not_count_as_done():
    progress = counters()
    rewind_progress(progress, 1, validating=True)
    validation = progress["epoch_loop.val_loop.batch_progress"]
    assert set(validation["current"].values()) == {0}
    assert validation["total"]["started"] - validation["total"]["processed"] == 1


def test_the_best_checkpoint_is_put_back_to_the_step_that_is_resumed(tmp_path, capsys):
    best = tmp_path / "best.ckpt"
    for step in (4, 8):
        checkpoint_file.write({"global_step": step}, best)
    assert restore_step(best, 8)
    assert restore_step(best, 4)  # killed between best.ckpt and last.ckpt of step 8
    assert checkpoint_file.read(best)["global_step"] == 4
    assert capsys.readouterr().out == ""
    best.write_bytes(b"")
    assert not restore_step(best, 4)
    assert "best.ckpt is damaged: it is empty" in capsys.readouterr().out


def test_only_the_first_process_moves_a_best_checkpoint_back(tmp_path, monkeypatch):
    best = tmp_path / "best.ckpt"
    for step in (4, 8):
        checkpoint_file.write({"global_step": step}, best)
    monkeypatch.setenv("RANK", "1")
    assert restore_step(best, 4)
    assert checkpoint_file.read(best)["global_step"] == 8


def test_every_process_restores_the_best_checkpoint_of_the_first_ones_folder(tmp_path):
    first, other = tmp_path / "first", tmp_path / "other"
    checkpoint_file.write({"global_step": 4}, first / "best.ckpt")
    kept = KeepBest(other, "val/mrr")
    kept.dirpath = str(first)  # as Lightning's `setup` does in every process
    kept.load_state_dict({"score": torch.tensor(0.5), "step": 4})
    assert kept.best_model_path == str(first / "best.ckpt")


def test_the_best_score_is_forgotten_when_its_file_is_lost(tmp_path):
    state = {"score": torch.tensor(0.5), "step": 4}
    lost = KeepBest(tmp_path, "val/mrr")
    lost.load_state_dict(state)
    assert lost.best_model_score is None
    checkpoint_file.write({"global_step": 4}, tmp_path / "best.ckpt")
    kept = KeepBest(tmp_path, "val/mrr")
    kept.load_state_dict(state)
    assert (kept.best_model_score, kept.best_model_path) == (0.5, str(tmp_path / "best.ckpt"))
    assert kept.state_dict() == {"score": torch.tensor(0.5), "step": 4}


def saving(tmp_path, monkeypatch, **given) -> tuple[SaveLast, SimpleNamespace, list]:
    made = []
    trainer = SimpleNamespace(
        **{"global_step": 0, "current_epoch": 0, "world_size": 1, "global_rank": 0, "accumulate_grad_batches": 1},
        datamodule=SimpleNamespace(),
        strategy=SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision),
        save_checkpoint=lambda path: made.append((trainer.global_step, trainer.datamodule.position)),
    )
    callback = SaveLast(
        tmp_path / "last.ckpt", **{"every_n_minutes": None, "every_n_steps": None, "watcher": SignalWatcher(), **given}
    )
    monkeypatch.setattr(callback.watcher, "_install_handlers", lambda: None)
    callback.on_train_start(trainer, None)
    return callback, trainer, made


def test_a_checkpoint_is_saved_every_few_steps_and_every_few_minutes(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    callback, trainer, made = saving(tmp_path, monkeypatch, every_n_steps=3, every_n_minutes=2)
    for step in range(8):
        trainer.global_step = step
        callback.on_train_batch_start(trainer, None, None, step)
    assert made == [(3, (0, 3)), (6, (0, 6))]
    clock[0] += 121
    callback.on_train_batch_start(trainer, None, None, 7)
    assert made[-1] == (7, (0, 7))


def test_a_checkpoint_is_saved_only_when_no_gradients_are_accumulated(tmp_path, monkeypatch):
    callback, trainer, made = saving(tmp_path, monkeypatch, every_n_steps=1)
    trainer.accumulate_grad_batches = 2
    for batch, step in enumerate((0, 0, 1, 1, 2)):
        trainer.global_step = step
        callback.on_train_batch_start(trainer, None, None, batch)
    assert made == [(1, (0, 2)), (2, (0, 4))]


def test_a_stop_saves_exactly_once(tmp_path, monkeypatch):
    callback, trainer, made = saving(tmp_path, monkeypatch)
    callback.watcher.received = signal.SIGTERM
    trainer.global_step = 2
    for _ in range(2):
        with pytest.raises(Preempted):
            callback.on_train_batch_start(trainer, None, None, 2)
    assert made == [(2, (0, 2))]
