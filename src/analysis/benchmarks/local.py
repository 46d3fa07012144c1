"""Corpora on this disk as benchmark tasks: every language's test queries against their whole codebase."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.analysis.benchmarks import annotations as relevance
from src.corpora.codesearchnet import CodeSearchNetCorpus, Text
from src.metrics.ranking import rank_queries
from src.metrics.retrieval import summarize
from src.metrics.summary import lexical_baseline
from src.module import CodeSearchModule
from src.training.encode import embed_texts
from src.utils.console import as_list
from src.utils.errors import InputError, nearest


@dataclass(frozen=True)
class Task:
    """One language of one corpus."""

    root: Path
    language: str

    @property
    def name(self) -> str:
        return f"{self.root.name}/{self.language}"


@dataclass
class Result:
    """Numbers of a task: of the model, of BM25 on the same pool, and of graded relevance where it is annotated."""

    task: Task
    model: dict[str, float]
    bm25: dict[str, float]
    facts: dict[str, Any]
    graded: dict[str, dict[str, float]] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """All numbers under flat keys."""
        numbers = {f"bm25/{key}": value for key, value in self.bm25.items()}
        for who, values in self.graded.items():
            numbers |= {f"{who}/graded/{key}": value for key, value in values.items()}
        return {**self.model, **numbers, **self.facts}


def tasks(roots: Any, languages: Any) -> list[Task]:
    """The folders with a test split below the roots; raises InputError where one has none."""
    return [task for root in as_list(roots) for task in _of_root(root, as_list(languages))]


def _of_root(root: str, languages: Sequence[str]) -> list[Task]:
    path = Path(root).expanduser().resolve()
    if not path.is_dir():
        raise InputError(f"corpus.root={root} is not a folder; expected DIR/<language>/test.jsonl and codebase.jsonl")
    found = sorted({file.parent.name for ending in ("jsonl", "jsonl.gz") for file in path.glob(f"*/test.{ending}")})
    if not found:
        raise InputError(f"corpus.root={root} has no language with a test split: expected DIR/<language>/test.jsonl")
    for language in languages:
        if language not in found:
            hint = nearest(language, found)
            raise InputError(f"languages: {root} has a test split of {', '.join(found)}, found {language!r}{hint}")
    return [Task(path, language) for language in languages or found]


def evaluate(task: Task, module: CodeSearchModule, cfg: DictConfig, text: Text) -> Result:
    """Ranks as `src.eval` does, and NDCG of the annotations if there are any."""
    test = CodeSearchNetCorpus(task.root, task.language, text).split("test")
    path = relevance.find(task.root / task.language)
    known = relevance.read(path, test.candidates) if path else None
    code_MD = embed_texts(module, test.candidates.codes, "code", cfg, task.name)
    query_ND = embed_texts(module, [pair.query for pair in test.pairs], "query", cfg, task.name)
    result = Result(
        task,
        summarize(rank_queries(query_ND, code_MD, list(test.positives))),
        summarize(lexical_baseline(test)),
        {"candidates": len(test.candidates), "pool_fingerprint": test.candidates.fingerprint, "text": text},
    )
    if known:
        asked_ND = embed_texts(module, known.queries, "query", cfg, task.name)
        result.graded["model"] = relevance.evaluate(known, asked_ND, code_MD)
        result.graded["bm25"] = relevance.evaluate_bm25(known, test.candidates)
        result.facts["annotations"] = len(known)
    return result
