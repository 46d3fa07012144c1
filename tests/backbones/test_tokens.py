"""A tokenizer as a checkpoint carries it."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoTokenizer

from src.backbones.tokens import encode, rebuild_tokenizer, tokenizer_assets
from tests.backbones import checkpoints
from tests.backbones.checkpoints import TEXTS


def test_a_kept_tokenizer_has_every_setting_but_those_of_the_last_batch(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoints.gpt2(tmp_path / "left", truncation_side="left"))
    encode(tokenizer, TEXTS, 2)
    kept = json.loads(json.dumps(tokenizer_assets(tokenizer)))  # plain values
    again = rebuild_tokenizer(kept, model_max_length=7)
    assert again.backend_tokenizer.truncation is None
    assert (again.model_max_length, again.truncation_side) == (7, "left")
    assert again.model_input_names == tokenizer.model_input_names
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert [text.ids for text in encode(again, TEXTS, 3)] == [text.ids for text in encode(tokenizer, TEXTS, 3)]
