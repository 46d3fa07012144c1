"""Which run goes on, and who may."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import pytest
import torch
from omegaconf import OmegaConf

from src.runs import checkpoint_file, directory, resume
from src.utils.errors import InputError, ResourceError

CFG = OmegaConf.create({"loss": {"_target_": "src.losses.infonce.InfoNCE"}, "seed": 1, "resume": "auto", "cache": "a"})
CFG.batching = {"_target_": "src.data.samplers.RandomBatches"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    for folder in list(directory._claimed):
        resume.release(folder)


def run(name: str, status: str, cfg=CFG, saved: bool = True):
    """A run directory as another process left it."""
    folder = resume.OUTPUTS / "2026-11-21" / name
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"status": status, "identity": resume.identity(cfg)}))
    os.utime(folder / "status.json", (time.time(), time.time() + len(list(resume.OUTPUTS.glob("*/*")))))
    if saved:
        held = {"state_dict": {}, "loops": {}, "global_step": 7, "epoch": 1}
        checkpoint_file.write(held, folder / "checkpoints" / "last.ckpt")
    return folder


def chosen(*arguments: str, cfg=CFG) -> str | None:
    """The directory that the command goes on in."""
    added = resume.overrides(arguments, lambda: cfg)
    return added[0].partition("=")[2].strip("'") if added else None


def with_(**values) -> OmegaConf:
    return OmegaConf.merge(CFG, values)


def test_the_latest_unfinished_run_is_the_one_that_resumes():
    run("old", "running")
    latest = run("latest", "interrupted")
    run("done", "finished")
    run("other", "running", with_(seed=2))
    assert chosen() == str(latest)


def test_a_run_that_finished_or_has_another_configuration_is_not_resumed():
    run("done", "finished")
    run("other", "running", with_(seed=2))
    assert chosen() is None
    assert chosen(cfg=with_(seed=2)) is not None


def test_the_cache_and_the_logger_are_no_part_of_the_identity_of_a_run():
    folder = run("a", "running")
    assert chosen(cfg=with_(cache="b", trainer={}, data={"num_workers": 2})) is None  # keys that were not there
    same = with_(cache="b", resume="auto", logger={"csv": 1})
    assert chosen(cfg=same) == str(folder)


def test_a_run_that_failed_before_its_first_checkpoint_is_not_resumed():
    run("early", "failed", saved=False)
    assert chosen() is None
    late = run("late", "failed")
    assert chosen() == str(late)


def test_sweeps_help_and_chosen_directories_resume_nothing():
    run("a", "running")
    assert chosen("-m", "seed=1,2") is None
    assert chosen("--help") is None
    assert chosen("resume=never") is None
    assert chosen("hydra.run.dir=x") is None


def test_a_named_run_is_resumed_and_a_missing_one_refused():
    with pytest.raises(InputError, match=r"resume=nowhere: expected auto, never, a run directory"):
        chosen("resume=nowhere")
    folder = run("a", "interrupted", with_(seed=2))
    assert chosen(f"resume={folder}") == str(folder)
    assert chosen(f"resume={folder}/checkpoints/last.ckpt") == str(folder)


def hold(folder, ready):
    assert resume.claim(folder)
    ready.set()
    time.sleep(60)


def test_two_processes_cannot_resume_one_directory_and_a_dead_one_frees_it():
    folder = run("a", "running")
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=hold, args=(folder, ready))
    holder.start()
    assert ready.wait(20)
    assert directory.is_claimed(folder)
    assert chosen() is None
    with pytest.raises(ResourceError, match="another process is at work"):
        chosen(f"resume={folder}")
    with pytest.raises(ResourceError, match="another process is at work"), directory.claimed(folder):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert chosen() == str(folder)


def test_a_run_that_resumes_says_so(capsys):
    folder = run("a", "running")
    (folder / ".status.json.123.part").write_text("half")
    attempt = resume.attempt(CFG, folder)
    assert attempt == resume.Attempt(True, folder / "checkpoints" / "last.ckpt", 2)
    assert capsys.readouterr().out == f"resume: {folder} continues after step 7, in epoch 2 (last.ckpt)\n"
    assert not list(folder.glob(".*.part"))


def test_a_run_does_not_begin_in_the_directory_of_another():
    folder = run("a", "running", with_(seed=2))
    with pytest.raises(InputError, match="unfinished run of another configuration"):
        resume.attempt(CFG, folder)
    assert resume.attempt(with_(resume="never"), folder) == resume.Attempt()
    finished = run("b", "finished")
    with pytest.raises(InputError, match="holds a finished run: choose another"):
        resume.attempt(CFG, finished)  # what it left would be written over
    assert resume.attempt(with_(resume="never"), finished) == resume.Attempt()
    assert resume.attempt(CFG, finished, swept=True) == resume.Attempt()  # as sweep.rerun asks
    with pytest.raises(InputError, match="has finished"):
        resume.attempt(with_(resume=str(folder)), run("c", "finished"))


def test_a_run_does_not_resume_with_other_data(tmp_path):
    data = {"corpus": {"train_fingerprint": "a"}}
    again = resume.Attempt(True, None, 2)
    assert again.environment_file(tmp_path, data) == "environment.json"  # the first did not get there
    (tmp_path / "environment.json").write_text(json.dumps({"seed": 1, **data}))
    assert again.environment_file(tmp_path, data) == "environment.2.json"
    with pytest.raises(InputError, match="began with other data"):
        again.environment_file(tmp_path, {"corpus": {"train_fingerprint": "b"}})
    assert resume.Attempt().environment_file(tmp_path, {"corpus": {}}) == "environment.json"


def test_weights_alone_are_refused_as_a_checkpoint_to_resume_from():
    folder = run("a", "running")
    best = folder / "checkpoints" / "best.ckpt"
    torch.save({"state_dict": {}, "global_step": 3}, best)
    with pytest.raises(InputError, match="holds weights alone: start from them with checkpoint="):
        resume.attempt(with_(resume=str(best)), folder)
