"""What a model card says of a finished run, section by section: Markdown from its configuration and its numbers."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from src.metrics.summary import COLUMNS
from src.runs.identity import needs_similarity, reads_similarity, run_name

NAMES = {"mrr": "MRR", "recall@1": "R@1", "recall@5": "R@5", "recall@10": "R@10", "ndcg@10": "NDCG@10"}
INTENDED = (
    "Research: comparing losses and estimators of negative weights for code search on equal terms, and ranking "
    "functions for a question in words. A high score says that words and structure fit, not that a code is correct, "
    "safe or free to use; nothing that matters should be decided by it alone."
)


def summary(cfg: Mapping[str, Any]) -> str:
    names, similarity = cfg["choices"], cfg["model"]["similarity"]
    by = f" with negatives judged by `{names['weights']}`" if needs_similarity(cfg["loss"]) else ""
    return (
        f"A dual encoder (`{names['backbone']}`) that ranks {_language(cfg)} for a query in words, by the {similarity} "
        f"of their embeddings. Trained with `{names['loss']}`{by} on {corpus(cfg)}; one seed."
    )


def _language(cfg: Mapping[str, Any]) -> str:
    lang = cfg["choices"]["lang"]
    return "functions of several languages" if lang == "all" else f"{lang} functions"


def corpus(cfg: Mapping[str, Any]) -> str:
    """What was trained on; the name of the folder alone where it is one, for a path says nothing elsewhere."""
    root = cfg["corpus"].get("root")
    own = cfg["choices"]["corpus"]
    return own if not root or Path(root).name == own else f"{own} ({Path(root).name})"


def results(cfg: Mapping[str, Any], metrics: Mapping[str, float], environment: Mapping[str, Any]) -> Iterator[str]:
    chosen = "the last epoch was kept" if cfg.get("keep") == "last" else "the epoch was chosen on valid"
    yield (
        f"{metrics['test/queries']:,.0f} test queries, each ranked against the whole codebase of "
        f"{metrics['test/candidates']:,.0f} candidates (pool `{environment['corpus']['test_pool_fingerprint']}`); "
        f"{chosen}, and test was ranked once. Intervals: 95%, bootstrap over queries."
    )
    rows = {f"**{run_name(cfg)}**": "test", "infonce, same seed and batches": "infonce", "BM25": "bm25"}
    header = ["", "MRR", "95%", *(NAMES[column] for column in COLUMNS)]
    yield _table(
        header,
        [
            [name, f"{metrics[f'{key}/mrr']:.3f}", _interval(metrics, key, ".3f")]
            + [f"{metrics[f'{key}/{column}']:.3f}" for column in COLUMNS]
            for name, key in rows.items()
            if f"{key}/mrr" in metrics
        ],
    )
    for name, key in {"infonce": "minus_infonce", "BM25": "minus_bm25"}.items():
        if f"{key}/mrr" in metrics:
            low, high = metrics[f"{key}/mrr_low"], metrics[f"{key}/mrr_high"]
            verdict = "the interval excludes" if low > 0 or high < 0 else "the interval includes"
            yield (
                f"- Minus {name}: {metrics[f'{key}/mrr']:+.4f} MRR ({_interval(metrics, key, '+.4f')}, paired by "
                f"query; {verdict} zero)."
            )
    languages = [found[1] for key in metrics if (found := re.fullmatch(r"test/([^/]+)/mrr", key))]
    if languages:
        yield _table(
            ["language", "queries", "MRR", "95%"],
            [
                [
                    *(lang, f"{metrics[f'test/{lang}/queries']:,.0f}", f"{metrics[f'test/{lang}/mrr']:.3f}"),
                    _interval(metrics, f"test/{lang}", ".3f"),
                ]
                for lang in languages
            ],
        )


def _interval(metrics: Mapping[str, float], key: str, form: str) -> str:
    return f"{metrics[f'{key}/mrr_low']:{form}} to {metrics[f'{key}/mrr_high']:{form}}"


def data(cfg: Mapping[str, Any], environment: Mapping[str, Any]) -> Iterator[str]:
    found = environment["corpus"]
    names = cfg["choices"]
    yield f"Corpus `{corpus(cfg)}`, language `{names['lang']}`. Results compare only where fingerprints agree."
    rows = {
        "training pairs": ("train_pairs", "train_fingerprint"),
        "valid queries": ("valid_queries", "valid_fingerprint"),
        "test queries": ("test_queries", "test_fingerprint"),
        "test candidates": ("test_candidates", "test_pool_fingerprint"),
    }
    yield _table(
        ["", "number", "fingerprint"],
        [[name, f"{found[number]:,}", f"`{found.get(mark, '')}`"] for name, (number, mark) in rows.items()],
    )


def recipe(cfg: Mapping[str, Any], metrics: Mapping[str, float], environment: Mapping[str, Any]) -> str:
    names, data, optimizer = cfg["choices"], cfg["data"], cfg["optimizer"]
    hardware = environment.get("hardware", {})
    packages = environment.get("packages", {})
    rows = {
        "loss": f"`{names['loss']}`{_parameters(cfg['loss'])}",
        "negative weights": f"`{names['weights']}`{_parameters(cfg['weights'])}" if reads_similarity(cfg) else "none",
        "batches": f"{data['batch_size']} pairs, {names.get('batching', 'random')}"
        + (", copies of a positive masked" if cfg.get("negatives", {}).get("mask_duplicates") else ""),
        "score": f"{cfg['model']['similarity']} x {cfg['model']['score_scale']:g}",
        "optimiser": f"AdamW, learning rate {optimizer['learning_rate']:g}, weight decay "
        f"{optimizer['weight_decay']:g}, warm-up {optimizer['warmup']:g} of the steps",
        "epochs": f"{cfg['trainer']['max_epochs']}, kept: {cfg.get('keep', 'best')}"
        + f" (val/mrr {metrics['val/mrr']:.3f})",
        "encoder": f"`{names['backbone']}`{_parameters(cfg['backbone']['encoder'])}",
        "seed": str(cfg["seed"]),
        "training time": f"{metrics['train/seconds']:,.0f} s",
        "hardware": ", ".join(hardware.get("gpus", [])) or (f"{hardware['cpus']} CPUs" if hardware else ""),
        "versions": ", ".join(f"{name} {packages[name]}" for name in ("torch", "lightning") if packages.get(name)),
        "code": (environment.get("git", {}).get("revision") or "")[:12]
        + (", with changes" if environment.get("git", {}).get("dirty") else ""),
    }
    return _table(["", ""], [[name, value] for name, value in rows.items() if value])


def _parameters(node: Mapping[str, Any]) -> str:
    """`: alpha 1.0, beta 1.0`, without what is not set."""
    shown = [f"{key} {_short(str(value))}" for key, value in _flat(node)]
    return f": {', '.join(shown)}" if shown else ""


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif not key.startswith("_") and value not in (None, "", False):
            yield f"{prefix}{key}", value


def command(folder: Path) -> Iterator[str]:
    """What was typed, where Hydra has kept it. Paths of this machine are cut to their last name."""
    kept_by_hydra = folder / ".hydra" / "overrides.yaml"
    if kept_by_hydra.is_file():
        overrides = [_short(str(word)) for word in yaml.safe_load(kept_by_hydra.read_text(encoding="utf-8")) or []]
        words = [word for word in overrides if not word.startswith(("hydra.", "cache="))]
        yield "```bash\n" + shlex.join(["python", "-m", "src.train", *words]) + "\n```"


def _short(text: str) -> str:
    return re.sub(r"(?<![^=,\[])(?:/|~/)[^,\]]*/([^/,\]]+)", r"…/\1", text)


def form(cfg: Mapping[str, Any]) -> Iterator[str]:
    if cfg["corpus"].get("text") == "tokens":
        yield "Trained on codes whose tokens are joined by spaces, without comments: give codes in that form."


def limitations(cfg: Mapping[str, Any]) -> str:
    names, encoder = cfg["choices"], cfg["backbone"]["encoder"]
    items = [
        "One run of one seed. Its intervals speak of other queries, not of other seeds, which can differ by more than "
        "the losses do: `python -m src.report` compares several.",
        "MRR depends on the pool: the more candidates, the lower. The number holds for the pool above.",
        "Every query has one right answer here; another code that answers it as well counts as wrong.",
        f"Queries are the first sentences of documentation or what the corpus `{corpus(cfg)}` has in their place. "
        "Other ways to ask, other languages of people and of programs were not tested.",
    ]
    if names["corpus"] != "stdlib" and cfg["corpus"].get("dedup", "none") == "none":
        items.append(
            "Duplicates between the splits were kept as the corpus has them: `python -m src.corpus_report` counts them."
        )
    if names["backbone"] == "tiny":
        items.append("The encoder is a bag of hashed word pieces, trained from scratch: it knows no order of words.")
    else:
        items.append("What the pretrained encoder saw before is not known here; it may hold codes of the test split.")
    lengths = [
        f"{encoder[key]} tokens of a {side}" for side in ("query", "code") if (key := f"max_{side}_tokens") in encoder
    ]
    if lengths:
        items.append(f"At most {' and '.join(lengths)} are read.")
    items.append("No licence is given: that of the training data and of the pretrained encoder, if any, applies.")
    return "\n".join(f"- {item}" for item in items)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([lines[0], f"|{'---|' * len(header)}", *lines[1:]])
