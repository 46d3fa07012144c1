"""UniXcoder's input and embedding as published: [cls] [mode] [sep] tokens [sep], mean over all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from src.backbones.unixcoder import MODE, UniXcoderEncoder
from src.utils.errors import InputError
from tests.backbones.checkpoints import TEXTS
from tests.backbones.test_transformer import CODE_TOKENS, QUERY_TOKENS, exact, roberta_ids


def encoder_of(folder: Path, max_query_tokens: int = QUERY_TOKENS) -> UniXcoderEncoder:
    encoder = UniXcoderEncoder(str(folder), "mean", max_query_tokens, CODE_TOKENS)
    encoder.fit([])
    return encoder


def published_ids(folder: Path, text: str, max_tokens: int, mode_id: int) -> list[int]:
    tokens = roberta_ids(folder, text, max_tokens - 2)[1:-1]
    return [0, mode_id, 2, *tokens, 2]


@pytest.mark.parametrize("kind", ["unixcoder", "unixcoder_special"])
def test_ids_are_the_published_ones_for_a_mode_token_that_is_special_or_plain(
    folders: dict[str, Path], kind: str
) -> None:
    encoder = encoder_of(folders[kind])
    mode_id = encoder.tokenizer.get_vocab()[MODE]
    for tokenise, max_tokens in [(encoder.queries, QUERY_TOKENS), (encoder.codes, CODE_TOKENS)]:
        features = tokenise(TEXTS)
        lengths = features["attention_mask"].sum(dim=1)
        assert lengths.max() == max_tokens
        for ids_L, length, text in zip(features["input_ids"], lengths, TEXTS):
            assert ids_L[:length].tolist() == published_ids(folders[kind], text, max_tokens, mode_id)


def test_embeddings_are_the_mean_over_all_real_tokens_of_transformers_called_by_hand(folders: dict[str, Path]) -> None:
    encoder = exact(encoder_of(folders["unixcoder"]))
    model = exact(transformers.RobertaModel.from_pretrained(folders["unixcoder"]))
    mode_id = encoder.tokenizer.get_vocab()[MODE]
    with torch.no_grad():
        embeddings_BD = encoder(encoder.codes(TEXTS))
        for embedding_D, text in zip(embeddings_BD, TEXTS):
            ids = published_ids(folders["unixcoder"], text, CODE_TOKENS, mode_id)
            expected_D = model(torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
            torch.testing.assert_close(embedding_D, expected_D, atol=1e-6, rtol=0)


def test_a_tokenizer_that_cuts_the_mode_into_pieces_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=MODE):
        encoder_of(folders["roberta"])


def test_a_length_that_only_holds_the_special_tokens_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"max_query_tokens=4,.* at least 5"):
        encoder_of(folders["unixcoder"], max_query_tokens=4)
