"""The run directory: whole files, readable ranks, an honest status."""

from __future__ import annotations

import json

import pytest
import torch
from omegaconf import OmegaConf

from src.runs.directory import RunDirectory, environment, read_ranks
from src.utils.errors import InputError


def test_ranks_are_read_as_written(tmp_path):
    ids = ["a", 'b,"c"', "d\ne", "é"]
    ranks = torch.tensor([1.0, 2.5, 1234567.5, 43827.0], dtype=torch.float64)
    RunDirectory(tmp_path).write_ranks(ids, ranks)
    assert read_ranks(tmp_path / "test_ranks.csv") == dict(zip(ids, ranks.tolist()))
    assert (tmp_path / "test_ranks.csv").read_text(encoding="utf-8").splitlines()[:2] == ["query_id,rank", "a,1"]


def test_a_query_without_a_rank_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shorter|longer"):
        RunDirectory(tmp_path).write_ranks(["a", "b"], [1.0])
    assert not (tmp_path / "test_ranks.csv").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_status_is_running_failed_interrupted_or_finished(tmp_path):
    run = RunDirectory(tmp_path)

    def status() -> dict:
        return json.loads((tmp_path / "status.json").read_text())

    with pytest.raises(ZeroDivisionError), run.recording():
        assert status()["status"] == "running"
        raise ZeroDivisionError("what\nhappened")
    assert status()["status"] == "failed"
    assert status()["error"] == "ZeroDivisionError: what"
    with pytest.raises(KeyboardInterrupt), run.recording():
        raise KeyboardInterrupt
    assert status()["status"] == "interrupted"
    with pytest.raises(SystemExit), run.recording():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise SystemExit(1)  # noqa: B904 - as Lightning does
    assert status()["status"] == "interrupted"
    with run.recording():
        pass
    assert status()["status"] == "finished"


def test_an_unwritable_directory_is_refused_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*hydra\.run\.dir=DIR"):
        RunDirectory(tmp_path / "file" / "run")


def test_a_saved_config_is_resolved(tmp_path):
    cfg = OmegaConf.create({"a": 3, "b": "${a}"})
    RunDirectory(tmp_path).write_config(cfg)
    assert (tmp_path / "config.yaml").read_text() == "a: 3\nb: 3\n"


def test_the_environment_says_what_ran():
    found = environment(seed=5, corpus={"test_fingerprint": "abc"})
    assert found["seed"] == 5
    assert found["corpus"] == {"test_fingerprint": "abc"}
    assert found["packages"]["torch"] == torch.__version__
    assert found["hardware"]["cpus"] >= 1
    assert json.loads(json.dumps(found)) == found
