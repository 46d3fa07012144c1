"""Bad input gets one clear line and exit status 2, before anything expensive; the run directory says so too."""

from __future__ import annotations

import json
import logging

import pytest

from src import cli
from tests.support.commands import QUICK, run_command, trained
from tests.support.doubles import write_corpus


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def errors(folder, *overrides: str) -> str:
    """The one line of a command that must fail."""
    result = run_command(
        "train", folder, *QUICK, "corpus=codesearchnet", "data.batch_size=16", "trainer.max_epochs=1", *overrides
    )
    assert result.status == 2, result.output + result.errors
    assert len(result.errors.splitlines()) == 1, result.errors
    assert result.errors.startswith("error: ")
    return result.errors


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("los=infonce", "did you mean 'loss'?"),
        ("loss=soft_infonc", "did you mean 'soft_infonce'?"),
        ("lang=pyhton", "did you mean 'python'?"),
        ("backbone=tinny", "did you mean 'tiny'?"),
        ("experiment=smok", "did you mean 'smoke'?"),
        ("loss.alhpa=2", "did you mean 'loss.alpha'?"),
        ("trainer.max_epoch=2", "did you mean 'trainer.max_epochs'?"),
        ("trainer.limit_train_batches=4", "so type +trainer.limit_train_batches=4"),
        ("corpus.rot=x", "did you mean 'corpus.root'?"),
        ("loss=infonce,bce", "add -m"),
        ("weights.between=query_cod", "did you mean 'query_code'?"),
        ("model.similarity=cosin", "did you mean 'cosine'?"),
        ("weights=none", "choose weights=bm25, or loss=infonce"),
        ("loss.beta=0.01", "beta=0.01, alpha=1, n=15 negatives"),
        ("data.batch_size=68", "at most the training split's 67 pairs, found 68"),
        ("data.batch_size=1", "data.batch_size: expected a whole number of 2 or more, found 1"),
        ("trainer.check_val_every_n_epoch=99", "no validation runs"),
        ("corpus.root=null", "three ways to get a corpus"),
        ("corpus.root=nowhere", "three ways to get a corpus"),
        ("lang=ruby", "found"),
        ("checkpoint=nowhere.ckpt", "checkpoint nowhere.ckpt does not exist"),
        ("seed=one", "seed: expected a whole number of 0 or more and up to 4294967295, found 'one'"),
        ("trainer.max_epochs=two", "trainer.max_epochs: expected a whole number or null, found 'two'"),
    ],
)
def test_a_mistake_is_one_line_that_names_a_way_out(root, tmp_path, override, expected):
    assert expected in errors(tmp_path / "run", f"corpus.root={root}", override)


def test_a_checkpoint_of_another_backbone_is_refused(root, tmp_path):
    best = trained(tmp_path / "first", root).run / "checkpoints" / "best.ckpt"
    line = errors(tmp_path / "second", f"corpus.root={root}", f"checkpoint={best}", "backbone=minilm")
    assert "holds another backbone" in line


def test_an_unwritable_run_directory_is_refused_in_one_line(tmp_path, root):
    (tmp_path / "file").write_text("")
    assert "is the path right and writable?" in errors(tmp_path / "file" / "run", f"corpus.root={root}")


def test_a_failed_run_says_so_in_its_directory(root, tmp_path):
    errors(tmp_path, f"corpus.root={root}", "weights=none")
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["status"] == "failed"
    assert "choose weights=bm25" in status["error"]


def test_a_bug_of_ours_keeps_its_traceback(root, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("src.train.build_loss", broken)
    with pytest.raises(ZeroDivisionError):
        run_command("train", tmp_path, *QUICK, "corpus=codesearchnet", f"corpus.root={root}")


def test_a_library_that_a_job_imports_cannot_make_the_log_more_verbose(tmp_path, monkeypatch):
    (tmp_path / "late.py").write_text(
        "import logging\nlogging.getLogger('lightning.pytorch').setLevel('INFO')\n"
        "main = lambda cfg: logging.getLogger('lightning.pytorch').level\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.load_main("late")(None) == logging.WARNING
