"""One command as several processes: by torchrun, by SLURM, by Lightning; one of them prints, writes and complains."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from src.config.compose import compose_config
from src.runs.directory import read_ranks
from src.runtime import launch
from src.utils.errors import InputError
from tests.support.commands import QUICK, Result, run_command
from tests.support.doubles import write_corpus
from tests.support.processes import several

# An encoder so small that not every query finds its code.
SMALL = (
    *(*QUICK, "corpus=codesearchnet", "data.batch_size=16", "data.eval_batch_size=5", "trainer.max_epochs=2"),
    *("backbone.encoder.embedding_size=3", "optimizer.learning_rate=0.001"),
)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
SLURM = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def settled(*overrides: str) -> tuple[DictConfig, int]:
    cfg = compose_config("train", ["trainer.accelerator=cpu", *overrides])
    return cfg, launch.resolve_devices(cfg)


# What was started, and what the configuration asks for


def test_a_batch_that_the_devices_cannot_share_evenly_is_refused_with_advice():
    assert settled("trainer.devices=2", "data.batch_size=6")[1] == 2
    with pytest.raises(InputError, match=r"multiple of the 4 devices, found 6; set data.batch_size=4 or 8"):
        settled("trainer.devices=2", "trainer.num_nodes=2", "data.batch_size=6")
    with pytest.raises(InputError, match=r"set data.batch_size=4$") as caught:
        settled("trainer.devices=4", "data.batch_size=3")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "nodes", "by"),
    [
        (TORCHRUN, 1, "torchrun"),
        ({**TORCHRUN, "WORLD_SIZE": "6"}, 3, "torchrun"),
        (SLURM, 1, "srun"),
        ({**SLURM, "SLURM_NTASKS": "6", "SLURM_NNODES": "3"}, 3, "srun"),
    ],
)
def test_the_devices_are_those_that_were_started_and_a_contradiction_is_refused(monkeypatch, environment, nodes, by):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"):
        monkeypatch.setenv(key, "0")
    cfg, world = settled("trainer=ddp", "data.batch_size=12")
    assert (cfg.trainer.devices, cfg.trainer.num_nodes, world) == (2, nodes, 2 * nodes)
    with pytest.raises(
        InputError, match=f"{by} started {nodes} x 2 processes, found .*trainer.devices=1: add trainer="
    ):
        settled("data.batch_size=12")


def test_a_batch_script_that_starts_one_process_itself_is_no_launch_of_several(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert launch.ExternalLaunch.detect() is None


def test_a_strategy_that_loses_what_its_processes_found_is_refused():
    with pytest.raises(InputError, match=r"take trainer\.strategy=ddp"):
        settled("trainer.devices=2", "trainer.strategy=ddp_spawn")


def test_a_sharded_model_gets_the_number_of_devices():
    cfg, _ = settled("trainer=fsdp", "trainer.devices=2")
    assert cfg.trainer.strategy.data_parallel_size == 2


def test_an_estimators_model_trains_as_if_in_a_single_process(monkeypatch):
    for key, value in {**TORCHRUN, **SLURM, "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    silenced = io.StringIO()
    monkeypatch.setattr(launch, "_silenced", [silenced])
    monkeypatch.setattr(sys, "stdout", silenced)
    before = dict(os.environ)
    with launch.as_single_process():
        assert launch.ExternalLaunch.detect() is None
        assert launch.is_rank_zero()
        assert rank_zero_only.rank == 0
        assert sys.stdout is sys.__stdout__  # what it trains, a person sees
    assert dict(os.environ) == before
    assert rank_zero_only.rank == 1
    assert sys.stdout is silenced
    assert not launch.is_rank_zero()


def test_a_process_that_was_held_up_notices_that_its_launcher_has_ended(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(launch, "GRACE", -1.0)  # all of it went by unnoticed
    assert not launch.command_is_ending()
    monkeypatch.setattr(launch, "PARENT", -1)  # meanwhile the launcher has ended
    assert launch.command_is_ending()


# The main job


def as_process_of_torchrun(folder: Path, overrides: tuple[str, ...]) -> Result:
    rank = os.environ["LOCAL_RANK"]
    os.environ.update({**TORCHRUN, "RANK": rank, "GROUP_RANK": "0"})
    tempfile.tempdir = str(folder / "scratch")
    Path(tempfile.tempdir).mkdir(exist_ok=True)
    # Only the first is told where to write: a default directory has another second in its name for each process.
    return run_command("train", folder / f"told-{rank}", *overrides)


def test_two_processes_find_the_same_ranks_as_one_and_write_everything_once(root, tmp_path):
    options = (*SMALL, f"corpus.root={root}", "weights=trained_model", "compare_infonce=true")
    one = run_command("train", tmp_path / "one", *options, f"cache={tmp_path / 'alone'}")
    assert one.status == 0, one.errors
    given = (*options, "trainer=ddp", "trainer.accelerator=cpu", f"cache={tmp_path / 'together'}")
    first, second = several(2, tmp_path / "two", as_process_of_torchrun, tmp_path / "two", given)
    assert first.status == second.status == 0, first.errors + second.errors
    assert (second.output, second.errors) == ("", "")
    assert [path.name for path in (tmp_path / "two").glob("told-*")] == ["told-0"]
    for name in ("test_ranks.csv", "infonce/test_ranks.csv"):
        ranks = read_ranks(one.run / name)
        assert len(set(ranks.values())) > 3
        assert read_ranks(first.run / name) == ranks
    here, there = (json.loads((run.run / "metrics.json").read_text()) for run in (one, first))
    assert here.keys() == there.keys()
    for name in here:
        if not name.startswith("train/"):  # seconds
            assert there[name] == pytest.approx(here[name], rel=1e-5), name
    trainings = first.output.count("epoch 2/2") + second.output.count("epoch 2/2")
    assert trainings in (2, 3)  # one of the processes or both trained the guide model
    assert "devices   2, 8 pairs each" in first.output
    states = [
        torch.load(run.run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"] for run in (one, first)
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=1e-4)


def test_a_mistake_is_reported_once(root, tmp_path):
    given = (*SMALL, f"corpus.root={root}", "trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=999")
    first, second = several(2, tmp_path, as_process_of_torchrun, tmp_path, given)
    assert first.status == second.status == 2
    assert first.errors.startswith("error: data.batch_size")
    assert first.errors.count("\n") == 1
    assert second.errors == ""  # its launcher ended it
    assert [path.name for path in tmp_path.glob("told-*")] == ["told-0"]


def test_an_evaluation_by_several_processes_is_refused(monkeypatch, tmp_path):
    for key, value in {**TORCHRUN, "RANK": "0"}.items():
        monkeypatch.setenv(key, value)
    result = run_command("eval", tmp_path, "run=nowhere")
    assert result.status == 2
    assert result.errors.startswith("error: src.eval is one process on one device")
