"""The model card: true numbers, a snippet that runs, and nothing said of a run that did not finish."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard

from src.runs import model_card
from src.runs.directory import RunDirectory
from src.utils.errors import InputError
from tests.support.commands import QUICK, run_command, trained
from tests.support.doubles import write_corpus

SMALL = (*QUICK, "corpus=codesearchnet", "data.batch_size=16", "trainer.max_epochs=3")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("pairs") / "some corpus")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A finished run with the comparison to plain InfoNCE."""
    return trained(tmp_path_factory.mktemp("run") / "it", root, "trainer.max_epochs=3", "compare_infonce=true").run


@pytest.fixture
def edited(finished, tmp_path):
    """A copy of the finished run, without its weights, for a test to change."""
    return shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoints"))


def change(path, **values):
    old = json.loads(path.read_text())
    path.write_text(json.dumps(old | values))


def text_of(folder) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_card_gives_the_hub_the_measured_numbers(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    data = ModelCard(text_of(finished)).data
    assert {(r.metric_type, r.metric_value) for r in data.eval_results} == {
        ("mrr", metrics["test/mrr"]),
        *((f"recall_at_{k}", metrics[f"test/recall@{k}"]) for k in (1, 5, 10)),
        ("ndcg_at_10", metrics["test/ndcg@10"]),
    }
    assert {(r.dataset_name, r.dataset_split) for r in data.eval_results} == {
        ("codesearchnet (some corpus) python", "test")
    }
    assert data.model_name == "soft_infonce bm25"
    assert {"soft_infonce", "python", "tiny"} <= set(data.tags)
    assert data.base_model is None


def test_the_tables_show_every_interval_and_baseline(edited):
    rows = {"test": 0.25, "infonce": 0.5, "bm25": 0.125}
    made_up = {f"{row}/{key}": value for row, value in rows.items() for key in ("mrr", "mrr_low", "mrr_high")}
    made_up |= {"test/mrr_low": 0.2, "test/mrr_high": 0.3125}
    made_up |= {"minus_infonce/mrr": -0.25, "minus_infonce/mrr_low": -0.3, "minus_infonce/mrr_high": 0.01}
    made_up |= {"minus_bm25/mrr": 0.125, "minus_bm25/mrr_low": 0.1, "minus_bm25/mrr_high": 0.2}
    change(edited / "metrics.json", **made_up)
    text = model_card.card(edited)
    assert "| **soft_infonce bm25** | 0.250 | 0.200 to 0.312 |" in text
    assert "| infonce, same seed and batches | 0.500 | 0.500 to 0.500 |" in text
    assert "| BM25 | 0.125 | 0.125 to 0.125 |" in text
    assert "Minus infonce: -0.2500 MRR (-0.3000 to +0.0100, paired by query; the interval includes zero)." in text
    assert "Minus BM25: +0.1250 MRR (+0.1000 to +0.2000, paired by query; the interval excludes zero)." in text


def test_the_card_of_a_loss_without_similarity_names_no_estimator(edited):
    assert "with negatives judged by `bm25`" in model_card.card(edited)
    cfg = yaml.safe_load((edited / "config.yaml").read_text())
    cfg["loss"] = {"_target_": "src.losses.infonce.InfoNCE"}
    (edited / "config.yaml").write_text(yaml.safe_dump(cfg))
    text = model_card.card(edited)
    assert "judged by" not in text
    assert "| negative weights | none |" in text


def test_the_pool_and_its_fingerprint_are_shown(finished):
    corpus = json.loads((finished / "environment.json").read_text())["corpus"]
    text = text_of(finished)
    for number, mark in ((67, "train"), (11, "valid"), (13, "test"), (24, "test_pool")):
        assert f"| {number} | `{corpus[f'{mark}_fingerprint']}` |" in text
    assert "13 test queries, each ranked against the whole codebase of 24 candidates" in text


def test_languages_of_one_model_are_shown_separately(edited):
    own = {"queries": 1234, "mrr": 0.75, "mrr_low": 0.5, "mrr_high": 0.8}
    change(edited / "metrics.json", **{f"test/ruby/{key}": value for key, value in own.items()})
    assert "| ruby | 1,234 | 0.750 | 0.500 to 0.800 |" in model_card.card(edited)


def test_the_snippet_runs_and_finds_the_right_code(finished, monkeypatch, capsys):
    [snippet] = re.findall(r"```python\n(.*?)```", text_of(finished), re.DOTALL)
    monkeypatch.chdir(finished)
    names: dict = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert names["scores_BC"].shape == (1, 2)
    assert names["scores_BC"].abs().max() <= 20.001  # cosine x 20
    assert "read_lines" in capsys.readouterr().out


def test_no_path_of_this_machine_is_in_the_card(finished, root):
    text = text_of(finished)
    assert str(root.parent) not in text
    assert str(finished.parent) not in text
    assert "python -m src.train" in text
    assert "'corpus.root=…/some corpus'" in text


def test_a_pretrained_encoder_is_credited(edited):
    cfg = yaml.safe_load((edited / "config.yaml").read_text())
    cfg["backbone"]["encoder"] = {
        "query": {"name": "microsoft/codebert-base"},
        "code": {"name": str(edited)},
        "other": {"name": "not a | hub name"},
    }
    (edited / "config.yaml").write_text(yaml.safe_dump(cfg))
    text = model_card.card(edited)
    assert ModelCard(text).data.base_model == ["microsoft/codebert-base"]
    assert f"code.name …/{edited.name}" in text
    assert r"not a \| hub name" in text


def test_another_way_to_load_replaces_that_of_the_card(finished):
    text = model_card.card(finished, load="SentenceTransformer(here)", library_name="sentence-transformers")
    assert "## How to load\n\nSentenceTransformer(here)" in text
    assert "read_module" not in text
    assert ModelCard(text).data.library_name == "sentence-transformers"


def test_a_failed_run_replaces_the_card_of_an_earlier_one(root, tmp_path):
    options = ("train", tmp_path, *SMALL, f"corpus.root={root}", "trainer.max_epochs=1")
    assert run_command(*options).status == 0
    assert "## Results" in text_of(tmp_path)
    assert run_command(*options, "data.batch_size=999", "resume=never").status == 2
    assert (tmp_path / "metrics.json").exists()  # the earlier one's
    text = text_of(tmp_path)
    assert "This run failed" in text
    assert "data.batch_size must be at most the training split's 67 pairs" in text
    assert "MRR" not in text
    assert ModelCard(text).data.eval_results is None


@pytest.mark.parametrize(
    ("status", "said"), [("running", "has not finished"), ("interrupted", "was interrupted"), ("failed", "failed")]
)
def test_a_run_without_a_result_reports_none(edited, status, said):
    change(edited / "status.json", status=status)
    text = model_card.card(edited)
    assert f"This run {said}." in text
    assert "MRR" not in text


def test_the_card_of_an_earlier_run_is_removed_when_another_begins(tmp_path):
    run = RunDirectory(tmp_path)
    with model_card.kept(run), run.recording():
        pass  # no config: it "finished" without being a run
    assert not (tmp_path / "README.md").exists()
    with pytest.raises(ZeroDivisionError), model_card.kept(run), run.recording():
        raise ZeroDivisionError
    assert "This run failed" in text_of(tmp_path)
    with model_card.kept(run):
        assert not (tmp_path / "README.md").exists()


def test_the_readme_of_another_author_is_not_overwritten(tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n")
    run = RunDirectory(tmp_path)
    with pytest.raises(ZeroDivisionError), model_card.kept(run), run.recording():
        raise ZeroDivisionError
    assert text_of(tmp_path) == "# Mine\n"


def test_a_folder_that_is_no_run_is_refused(tmp_path, edited):
    with pytest.raises(InputError, match=r"is no run directory .*give the one that src\.train printed"):
        model_card.card(tmp_path / "nowhere")
    (edited / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"is not a whole run directory \(FileNotFoundError"):
        model_card.card(edited)
