"""Tiny checkpoints, written once per test file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backbones import checkpoints


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each kind of checkpoint."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "roberta": checkpoints.roberta(root / "roberta"),
        "masked_lm": checkpoints.roberta(root / "masked_lm", "RobertaForMaskedLM"),
        "bert": checkpoints.bert(root / "bert"),
        "gpt2": checkpoints.gpt2(root / "gpt2"),
        "t5": checkpoints.t5(root / "t5"),
        "modernbert": checkpoints.modernbert(root / "modernbert"),
        "qwen2": checkpoints.qwen(root / "qwen2", version=2, ends=False),
        "qwen3": checkpoints.qwen(root / "qwen3"),
        "unixcoder": checkpoints.roberta(root / "unixcoder", mode="vocabulary"),
        "unixcoder_special": checkpoints.roberta(root / "unixcoder_special", mode="special"),
    }
