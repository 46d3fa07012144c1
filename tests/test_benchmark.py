"""The command on local corpora, its agreement with mteb's own evaluation, and one line where the hub is needed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from src.analysis.benchmarks import local, mteb
from src.utils.errors import InputError
from tests.support.commands import run_command, trained
from tests.support.doubles import write_corpus


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = write_corpus(tmp_path_factory.mktemp("corpus"))
    write_corpus(root, "ruby", train=5, valid=5, test=17)
    run = trained(tmp_path_factory.mktemp("run") / "it", root).run
    codes = [json.loads(line)["url"] for line in (root / "python" / "codebase.jsonl").read_text().splitlines()]
    lines = [{"query": f"sort the {word}", "url": url, "relevance": grade} for word in ("file", "list")
             for url, grade in zip(codes, (3, 0, 2))]  # fmt: skip
    (root / "python" / "annotations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root, run


def test_a_local_benchmark_finds_the_numbers_of_the_run_itself(finished, tmp_path):
    root, run = finished
    result = run_command("benchmark", tmp_path, f"run={run}", f"corpus.root={root}")
    assert result.status == 0, result.errors
    found = json.loads((tmp_path / "benchmark.json").read_text())
    assert found.keys() == {f"{root.name}/python", f"{root.name}/ruby"}
    metrics = json.loads((run / "metrics.json").read_text())
    python = found[f"{root.name}/python"]
    for key in ("mrr", "mrr_low", "recall@1", "ndcg@10"):
        assert python[key] == metrics[f"test/{key}"]
        assert python[f"bm25/{key}"] == metrics[f"bm25/{key}"]
    assert python["queries"] == 13
    assert python["candidates"] == 24
    assert python["annotations"] == 6
    assert 0 < python["model/graded/all/ndcg"] <= python["model/graded/within/ndcg"] <= 1
    assert "bm25/graded/all/ndcg" in python
    assert "model/graded/all/ndcg" not in found[f"{root.name}/ruby"]
    assert "NDCG within" in result.output


@pytest.mark.filterwarnings("ignore")
def test_mteb_measures_the_same_ndcg_and_recall(finished, tmp_path, monkeypatch):
    """Its own evaluation of the exported model on the same corpus, where it is installed."""
    mteb = pytest.importorskip("mteb")
    pytest.importorskip("sentence_transformers")
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    from src.corpora.codesearchnet import CodeSearchNetCorpus
    from src.training.build import read_module

    root, run = finished
    test = CodeSearchNetCorpus(root, "ruby").split("test")

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="LocalRetrieval", description="a corpus of this disk", reference=None, type="Retrieval",
            category="t2t", modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"], main_score="ndcg_at_10",
            dataset={"path": "local", "revision": "1"}, date=None, domains=None, task_subtypes=None, license=None,
            annotations_creators=None, dialect=None, sample_creation=None, bibtex_citation="",
        )  # fmt: skip

        def load_data(self, **kwargs):
            self.queries = {"test": {pair.id: pair.query for pair in test.pairs}}
            self.corpus = {"test": {id: {"text": code} for id, code in zip(test.codebase.ids, test.codebase.codes)}}
            self.relevant_docs = {"test": {pair.id: {pair.code_id: 1} for pair in test.pairs}}
            self.data_loaded = True

    assert mteb
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    module = read_module(run / "checkpoints" / "best.ckpt")
    scores = mteb.evaluate(module, [Local()], tmp_path / "mteb", 32)["LocalRetrieval"]
    ours = run_command("benchmark", tmp_path / "ours", f"run={run}", f"corpus.root={root}", "languages=ruby")
    assert ours.status == 0, ours.errors
    (own,) = json.loads((tmp_path / "ours" / "benchmark.json").read_text()).values()
    assert scores["main_score"] == pytest.approx(own["ndcg@10"], abs=1e-5)
    assert scores["test/default"]["recall_at_1"] == pytest.approx(own["recall@1"], abs=1e-5)


def test_a_mistake_ends_with_status_two_and_one_line(finished, tmp_path):
    root, run = finished
    cases = {
        (): "HF_HUB_OFFLINE is set; corpus.root=DIR evaluates on local corpora",
        (f"corpus.root={tmp_path}",): "has no language with a test split",
        ("corpus.root=nowhere",): "corpus.root=nowhere is not a folder",
        (f"corpus.root={root}", "languages=pyhton"): "found 'pyhton'; did you mean 'python'?",
        (f"corpus.root={root}", "corpus.text=tokns"): "found 'tokns'; did you mean 'tokens'?",
    }
    for options, message in cases.items():
        result = run_command("benchmark", tmp_path / "log", f"run={run}", *options)
        assert result.status == 2, options
        assert message in result.errors
        assert len(result.errors.splitlines()) == 1, result.errors


def test_a_hub_that_does_not_answer_is_reported_in_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nothing listens
    with pytest.raises(InputError, match=r"http://127.0.0.1:9 does not answer .*; corpus.root=DIR") as told:
        mteb.reachable()
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_mteb_does_not_have_is_refused_with_a_suggestion():
    pytest.importorskip("mteb")
    with pytest.raises(InputError, match=r"tasks: mteb has no retrieval task 'CosQa'; did you mean 'CosQA'"):
        mteb.chosen(["CosQa"])
    assert [task.metadata.name for task in mteb.chosen(["CosQA"])] == ["CosQA"]


def test_real_corpora_of_this_layout_are_read(shared):
    tasks = local.tasks([str(shared / "data" / name) for name in ("humaneval_x", "mbxp")], None)
    assert {task.name for task in tasks} >= {"humaneval_x/go", "mbxp/php"}
    test = local.CodeSearchNetCorpus(tasks[0].root, tasks[0].language, "tokens").split("test")
    assert len(test) == len(set(np.asarray(test.positives).tolist())) == 164
