"""A finished run evaluated again: the same ranks, other data, clear refusals."""

from __future__ import annotations

import json

import pytest
import torch

from tests.support.commands import run_command, trained
from tests.support.doubles import write_corpus


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = write_corpus(tmp_path_factory.mktemp("corpus"))
    write_corpus(root, "ruby", train=5, valid=5, test=17)
    return trained(tmp_path_factory.mktemp("run") / "it", root).run


def test_an_evaluation_reproduces_its_run(finished, tmp_path):
    result = run_command("eval", tmp_path, f"run={finished}")
    assert result.status == 0, result.errors
    assert "identical ranks for all 13 queries" in result.output
    assert (tmp_path / "test_ranks.csv").read_bytes() == (finished / "test_ranks.csv").read_bytes()
    before, now = (json.loads((folder / "metrics.json").read_text()) for folder in (finished, tmp_path))
    assert now == {key: before[key] for key in now}


def test_a_checkpoint_file_alone_is_enough(finished, tmp_path):
    alone = tmp_path / "copied.ckpt"
    alone.write_bytes((finished / "checkpoints" / "best.ckpt").read_bytes())
    result = run_command("eval", tmp_path / "eval", f"checkpoint={alone}")
    assert result.status == 0, result.errors
    assert (tmp_path / "eval" / "test_ranks.csv").read_bytes() == (finished / "test_ranks.csv").read_bytes()


def test_another_language_is_evaluated(finished, tmp_path):
    result = run_command("eval", tmp_path, f"run={finished}", "lang=ruby")
    assert result.status == 0, result.errors
    assert "17 queries, 22 candidates" in result.output


def test_another_corpus_is_evaluated(finished, tmp_path):
    root = write_corpus(tmp_path / "corpus", train=5, valid=5, test=7)
    for split in ("train", "valid"):  # an evaluation reads the test split alone
        (root / "python" / f"{split}.jsonl").unlink()
    result = run_command("eval", tmp_path / "eval", f"run={finished}", "corpus=codesearchnet", f"corpus.root={root}")
    assert result.status == 0, result.errors
    assert "7 queries, 12 candidates" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected run=DIR"),
        (("run=nowhere",), "run directory nowhere does not exist"),
        (("checkpoint=nowhere.ckpt",), "checkpoint nowhere.ckpt does not exist"),
    ],
)
def test_nothing_to_evaluate_is_refused_in_one_line(tmp_path, options, message):
    result = run_command("eval", tmp_path, *options)
    assert result.status == 2
    assert message in result.errors
    assert len(result.errors.splitlines()) == 1


def test_a_file_that_is_no_checkpoint_is_refused_and_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    for name in ("text", "other", "evil"):
        result = run_command("eval", tmp_path / "eval", f"checkpoint={tmp_path / name}.ckpt")
        assert result.status == 2, name
        assert len(result.errors.splitlines()) == 1, result.errors
    assert not (tmp_path / "executed").exists()


def test_an_unfinished_run_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    result = run_command("eval", tmp_path / "eval", f"run={tmp_path / 'run'}")
    assert "has no checkpoints/best.ckpt" in result.errors


def test_a_foreign_class_named_in_a_checkpoint_is_refused(finished, tmp_path):
    checkpoint = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["run_config"]["corpus"] = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path"}}
    torch.save(checkpoint, tmp_path / "foreign.ckpt")
    result = run_command("eval", tmp_path / "eval", f"checkpoint={tmp_path / 'foreign.ckpt'}")
    assert result.status == 2
    assert "never built" in result.errors


def test_a_run_of_a_missing_gpu_is_evaluated_on_the_cpu(finished, tmp_path):
    checkpoint = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["run_config"]["trainer"]["accelerator"] = "gpu"
    torch.save(checkpoint, tmp_path / "gpu.ckpt")
    result = run_command("eval", tmp_path / "eval", f"checkpoint={tmp_path / 'gpu.ckpt'}", "accelerator=cpu")
    assert result.status == 0, result.errors
    assert (tmp_path / "eval" / "test_ranks.csv").read_bytes() == (finished / "test_ranks.csv").read_bytes()
