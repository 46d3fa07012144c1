"""W&B may fail in any way; a run may not."""

from __future__ import annotations

import json
import os
import time

import pytest
import torch
import wandb

from src.config.checks import check
from src.config.compose import compose_config
from src.loggers.wandb import ID, FaultTolerantWandbLogger, start_server_probe
from src.utils.errors import InputError
from tests.support.wandb_transaction_log import finished, history, plain


@pytest.fixture(autouse=True)
def _staged_elsewhere(monkeypatch):
    monkeypatch.setattr("src.loggers.wandb._staged", [None])
    monkeypatch.setenv("WANDB_DATA_DIR", "")
    monkeypatch.delenv("WANDB_DATA_DIR")


class FakeRun:
    """A run of which every call is recorded, and fails where told to."""

    url, dir, id, name = "https://example.org/run", "outputs/wandb/offline-run-1/files", "1", "run"

    def __init__(self, fails: bool = False) -> None:
        self.calls, self.fails = [], fails
        self.summary = self

    def __getattr__(self, name):
        if name.startswith("_") or name == "config":
            raise AttributeError(name)

        def call(*args, **kwargs):
            self.calls.append(name)
            if self.fails and name in ("log", "finish", "update"):
                raise ConnectionError("refused\nsecond line")

        return call


class Answered:
    """A probe that was answered at once."""

    def __init__(self, why: str | None = None) -> None:
        self.why = why

    def unavailable_reason(self) -> str | None:
        return self.why


PRESENT = Answered()


@pytest.fixture
def wandb_init(monkeypatch):
    """Replaces wandb.init: fails for the modes in `refused`, records the modes asked for."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    asked, refused, run = [], set(), FakeRun()

    def init(mode, **options):
        asked.append(mode)
        if mode in refused:
            raise wandb.errors.CommError("no server")
        return run

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "teardown", lambda: None)
    monkeypatch.setattr("src.loggers.wandb.ServerProbe", lambda patience: PRESENT)
    return asked, refused, run


def test_without_a_key_it_logs_offline_and_does_not_prompt(wandb_init, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(wandb, "login", lambda prompt, verify: False if prompt is False else pytest.fail("prompts"))
    FaultTolerantWandbLogger(tmp_path)
    assert wandb_init[0] == ["offline"]
    assert capsys.readouterr().out == f"W&B: logging offline; to upload: wandb sync {tmp_path}/wandb/offline-run-*\n"


def test_with_a_key_it_logs_online(wandb_init, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(wandb, "login", lambda **options: True)
    FaultTolerantWandbLogger(tmp_path)
    assert wandb_init[0] == ["online"]
    assert "logging to https://example.org/run" in capsys.readouterr().out


def test_a_refused_connection_falls_back_to_offline(wandb_init, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(wandb, "login", lambda **options: True)
    wandb_init[1].add("online")
    FaultTolerantWandbLogger(tmp_path)
    assert wandb_init[0] == ["online", "offline"]
    assert "online logging did not start (no server)" in capsys.readouterr().out


def test_the_environment_variable_overrides_the_mode(wandb_init, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    FaultTolerantWandbLogger(tmp_path, mode="online")
    assert wandb_init[0] == ["disabled"]


def test_a_connection_lost_in_mid_run_is_reported_once_and_the_run_continues(wandb_init, tmp_path, capsys):
    wandb_init[2].fails = True
    logger = FaultTolerantWandbLogger(tmp_path, mode="offline")
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0}, step)
    logger.log_histogram("weights", torch.rand(5), 3)
    logger.finish({"test/mrr": 0.5})
    assert wandb_init[2].calls.count("log") == 1
    assert capsys.readouterr().out.count("logging stopped (refused)") == 1


def test_an_answer_that_was_asked_for_ahead_is_used_exactly_once(wandb_init, monkeypatch, tmp_path):
    monkeypatch.setattr(wandb, "login", lambda **options: True)
    said = [PRESENT, Answered("gone")]
    monkeypatch.setattr("src.loggers.wandb.ServerProbe", lambda patience: said.pop())
    monkeypatch.setattr("src.loggers.wandb._early_probe", [None])
    start_server_probe(timeout=10.0, project="p")
    FaultTolerantWandbLogger(tmp_path)
    assert wandb_init[0] == ["offline"]
    FaultTolerantWandbLogger(tmp_path)
    assert wandb_init[0] == ["offline", "online"]


def test_an_offline_run_asks_no_server(wandb_init, monkeypatch, tmp_path):
    monkeypatch.setattr("src.loggers.wandb.ServerProbe", lambda patience: pytest.fail("it asked"))
    monkeypatch.setattr(wandb, "login", lambda **options: False)
    start_server_probe()
    start_server_probe(mode="offline")
    logger = FaultTolerantWandbLogger(tmp_path, mode="offline")
    logger.finalize("success")
    logger.finish({})


def test_a_server_that_went_away_is_noticed_and_the_test_is_logged_offline(wandb_init, monkeypatch, tmp_path, capsys):
    logger = FaultTolerantWandbLogger(tmp_path, mode="online")
    monkeypatch.setattr("src.loggers.wandb.ServerProbe", lambda patience: Answered("gone"))
    logger.finalize("failed")  # there is no end to come
    assert logger._checking is None
    logger.finalize("success")
    logger._checking.join()
    assert wandb_init[2].calls[-1] == "finish"  # beside the test that follows
    logger.log_metrics({"test/mrr": 1.0}, 3)
    logger.finish({"test/mrr": 0.5})
    assert wandb_init[0] == ["online", "offline"]
    assert capsys.readouterr().out.count("logging stopped (gone)") == 1


def logs(folder) -> list:
    return [finished(path) for path in sorted(folder.glob("wandb/*run-*/run-*.wandb"))]


def test_an_offline_run_holds_its_metrics_summary_and_tables(tmp_path):
    about = {"name": "n", "group": "g", "job_type": "train", "tags": ["loss=x"], "config": {"loss/alpha": 0.5}}
    logger = FaultTolerantWandbLogger(tmp_path, mode="offline", project="p", **about)
    for step, loss in enumerate((0.5, 0.25, 0.75)):
        logger.log_metrics({"train/loss": loss, "val/mrr": 1 - loss}, step)
    logger.log_histogram("weights/histogram", torch.rand(13), 1)
    logger.tables["results"] = ["model", "mrr"], [["a", 0.5], ["b", None]]
    logger.finish({"test/mrr": 0.5, "val/mrr": 0.1})

    (found,) = logs(tmp_path)
    (run,) = [record.run for record in found if record.HasField("run")]
    assert (run.project, run.display_name, run.run_group, run.job_type) == ("p", "n", "g", "train")
    assert (list(run.tags), plain(run.config.update)["loss/alpha"]) == (["loss=x"], 0.5)
    assert history(found, "train/loss") == [0.5, 0.25, 0.75]
    assert history(found, "trainer/global_step")[:3] == [0, 1, 2]
    assert history(found, "weights/histogram/_type") == ["histogram"]

    summary = {}
    for record in found:
        summary |= plain(record.summary.update)
    assert (summary["train/loss"], summary["val/mrr"]) == ({"min": 0.25}, {"max": 0.75})  # of the history
    assert summary["test/mrr"] == 0.5
    table = json.loads(next(tmp_path.glob("wandb/*/files/media/table/results_*.json")).read_text())
    assert table == {"columns": ["model", "mrr"], "data": [["a", 0.5], ["b", None]]}


def test_metrics_have_their_summary_and_the_step_as_their_axis(tmp_path):
    FaultTolerantWandbLogger(tmp_path, mode="offline").finish({})
    (found,) = logs(tmp_path)
    defined = {(m.name or m.glob_name): m for m in (r.metric for r in found if r.HasField("metric"))}
    summaries = {name: m.summary for name, m in defined.items() if m.summary.ByteSize()}
    assert {name: (of.max, of.min, of.last) for name, of in summaries.items()} == {
        "val/mrr": (True, False, False),
        "train/loss": (False, True, False),
        "test/*": (False, False, True),
    }
    assert {m.step_metric for name, m in defined.items() if name != "trainer/global_step"} == {"trainer/global_step"}


@pytest.mark.parametrize("asked", [(), ("checkpoint", "pages")])
def test_artifacts_are_logged_only_when_asked_for(asked, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    (tmp_path / "inspection.html").write_text("<p>")
    logger = FaultTolerantWandbLogger(tmp_path, mode="offline", artifacts=asked)
    logger.finish({"val/mrr": 0.5})
    (found,) = logs(tmp_path)
    made = {r.artifact.type: [c.path for c in r.artifact.manifest.contents] for r in found if r.HasField("artifact")}
    assert made == ({"model": ["best.ckpt"], "pages": ["inspection.html"]} if asked else {})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("logger.wandb.mode=ofline", r"logger\.wandb\.mode: .* did you mean 'offline'"),
        ("logger.wandb.artifacts=[page]", r"logger\.wandb\.artifacts: .* did you mean 'pages'"),
        ("logger.wandb.timeout=0", r"logger\.wandb\.timeout: expected a number above 0"),
    ],
)
def test_an_unknown_option_is_refused_before_the_run_starts(override, message):
    with pytest.raises(InputError, match=message):
        check(compose_config("train", [override]), "train")


def test_a_run_that_resumes_is_the_same_run_in_wandb(tmp_path):
    for part in range(2):
        logger = FaultTolerantWandbLogger(tmp_path, mode="offline", project="p")
        logger.log_metrics({"train/loss": 1.0}, part)
        logger.finish({})
        time.sleep(1.1)  # its folders are named by the second
    runs = [record.run for found in logs(tmp_path) for record in found if record.HasField("run")]
    assert [run.run_id for run in runs] == [(tmp_path / ID).read_text().strip()] * 2
    assert all(run.resume for run in runs)
    (tmp_path / ID).write_text("no id / at all\n")  # as a disk that was full might leave it
    other = FaultTolerantWandbLogger(tmp_path, mode="offline", project="p")
    other.finish({})
    assert other.version == (tmp_path / ID).read_text().strip() != runs[0].run_id


def test_tables_are_staged_in_the_run_directory_unless_another_place_is_set(tmp_path, monkeypatch):
    for name in ("a", "b"):
        logger = FaultTolerantWandbLogger(tmp_path / name, mode="offline")
        logger.tables["results"] = ["model"], [["x"]]
        logger.finish({})
        assert list((tmp_path / name / "wandb" / "staged").rglob("tmp*"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "own"))
    FaultTolerantWandbLogger(tmp_path / "c", mode="offline").finish({})
    assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / "own")
