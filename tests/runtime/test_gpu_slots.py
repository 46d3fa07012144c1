"""Which GPU a job gets where nobody divides the machine; the GPUs are names."""

from __future__ import annotations

import os

import pytest
from omegaconf import OmegaConf

from src.runtime import gpu_slots

JOBLIB = OmegaConf.create({"_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"})


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Calls `take_one` as a process that has just begun; returns its GPU, and its lock, which ends with the process."""

    def began(launcher=JOBLIB, sees="4,7"):
        held = []
        monkeypatch.setattr(gpu_slots, "_held_locks", held)
        monkeypatch.setenv(gpu_slots.VISIBLE, sees)
        return gpu_slots.claim_gpu(launcher, tmp_path / "locks"), held

    return began


def test_a_job_takes_an_idle_gpu_while_there_is_one(process):
    (first, lock), (second, _other), (third, _more) = process(), process(), process()
    assert (first, second, third) == ("4", "7", "4")
    lock[0].release()
    assert process()[0] == "4"  # the slot that is free again


def test_a_job_sees_only_its_gpu(process):
    process()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"


def test_a_process_that_runs_several_jobs_keeps_its_gpu(process, tmp_path):
    _, held = process()
    assert gpu_slots.claim_gpu(JOBLIB, tmp_path / "locks") is None
    assert len(held) == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"


@pytest.mark.parametrize("launcher", ["hydra._internal.core_plugins.basic_launcher.BasicLauncher", "x.SlurmLauncher"])
def test_a_job_that_has_its_own_gpus_keeps_all_of_them(process, launcher):
    assert process(OmegaConf.create({"_target_": launcher})) == (None, [])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


@pytest.mark.parametrize("sees", ["", "3", "GPU-5d1"])
def test_a_machine_with_fewer_than_two_gpus_takes_no_slot(process, sees):
    assert process(sees=sees) == (None, [])


def test_gpus_may_have_names_in_place_of_numbers(process):
    kept = [process(sees="GPU-a, MIG-b") for _ in range(2)]
    assert [gpu for gpu, _ in kept] == ["GPU-a", "MIG-b"]


def test_without_a_list_of_gpus_all_of_them_are_found(monkeypatch):
    monkeypatch.delenv(gpu_slots.VISIBLE, raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert gpu_slots.visible_gpus() == ["0", "1", "2"]
