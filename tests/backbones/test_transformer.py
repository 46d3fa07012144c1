"""Embeddings of tiny checkpoints against transformers called by hand: one text at a time, no padding."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

from src.backbones.transformer import TransformerEncoder
from tests.backbones import checkpoints
from tests.backbones.checkpoints import HIDDEN, TEXTS

QUERY_TOKENS, CODE_TOKENS = 11, 23
KINDS = [("roberta", "mean"), ("bert", "cls"), ("bert", "mean"), ("gpt2", "last"), ("gpt2", "mean"), ("t5", "mean")]


def encoder_of(folder: Path, pooling: str = "mean", **settings: str) -> TransformerEncoder:
    encoder = TransformerEncoder(str(folder), pooling, QUERY_TOKENS, CODE_TOKENS, **settings)
    encoder.fit([])
    return encoder


def exact(module: torch.nn.Module) -> torch.nn.Module:
    """Without dropout, and in float64 so that 1e-6 is far above rounding."""
    return module.eval().double()


def roberta_ids(folder: Path, text: str, max_tokens: int) -> list[int]:
    """<s> text </s> from the files of the folder, without transformers; an overlong text loses its end."""
    tokenizer = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return [0, *tokenizer.encode(text, add_special_tokens=False).ids[: max_tokens - 2], 2]


@pytest.mark.parametrize("max_tokens", [QUERY_TOKENS, CODE_TOKENS])
@pytest.mark.parametrize("pooling", ["cls", "mean", "last", "pooler"])
def test_embeddings_are_those_of_transformers_called_by_hand(
    folders: dict[str, Path], pooling: str, max_tokens: int
) -> None:
    encoder = exact(encoder_of(folders["roberta"], pooling))
    model = exact(transformers.RobertaModel.from_pretrained(folders["roberta"]))

    features = (encoder.queries if max_tokens == QUERY_TOKENS else encoder.codes)(TEXTS)
    with torch.no_grad():
        embeddings_BD = encoder(features)

        assert embeddings_BD.shape == (len(TEXTS), HIDDEN)
        for embedding_D, text in zip(embeddings_BD, TEXTS):
            outputs = model(torch.tensor([roberta_ids(folders["roberta"], text, max_tokens)]))
            hidden_LD = outputs.last_hidden_state[0]
            expected_D = {
                "cls": hidden_LD[0],
                "mean": hidden_LD.mean(dim=0),
                "last": hidden_LD[-1],
                "pooler": outputs.pooler_output[0],
            }[pooling]
            torch.testing.assert_close(embedding_D, expected_D, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("kind", "pooling"), KINDS)
def test_neighbours_in_a_batch_do_not_change_an_embedding(folders: dict[str, Path], kind: str, pooling: str) -> None:
    encoder = exact(encoder_of(folders[kind], pooling))
    with torch.no_grad():
        together_BD = encoder(encoder.codes(TEXTS))
        alone_BD = torch.cat([encoder(encoder.codes([text])) for text in TEXTS])
    assert together_BD.isfinite().all()
    torch.testing.assert_close(together_BD, alone_BD, atol=1e-6, rtol=0)


def test_a_tokenizer_that_pads_on_the_left_does_not_shift_positions(tmp_path: Path) -> None:
    left = exact(encoder_of(checkpoints.gpt2(tmp_path / "left", padding_side="left"), "last"))
    right = exact(encoder_of(checkpoints.gpt2(tmp_path / "right"), "last"))
    with torch.no_grad():
        torch.testing.assert_close(left(left.codes(TEXTS)), right(right.codes(TEXTS)), atol=1e-6, rtol=0)


def test_padding_is_masked_even_where_the_tokenizer_gives_no_mask(tmp_path: Path) -> None:
    maskless = encoder_of(checkpoints.gpt2(tmp_path / "maskless", model_input_names=["input_ids"]), "last")
    plain = encoder_of(checkpoints.gpt2(tmp_path / "plain"), "last")
    assert maskless.codes(TEXTS)["attention_mask"].tolist() == plain.codes(TEXTS)["attention_mask"].tolist()


def test_batches_are_padded_to_their_longest_text_not_to_the_maximum(folders: dict[str, Path]) -> None:
    encoder = encoder_of(folders["roberta"])
    longest = max(len(roberta_ids(folders["roberta"], text, CODE_TOKENS)) for text in TEXTS[2:4])
    assert longest < CODE_TOKENS
    features = encoder.codes(TEXTS[2:4])
    assert features["input_ids"].shape == features["attention_mask"].shape == (2, longest)
    assert features["attention_mask"].sum(dim=1).tolist() == [2, longest]


@pytest.mark.parametrize("kind", ["roberta", "bert"])
def test_truncation_keeps_the_special_tokens(folders: dict[str, Path], kind: str) -> None:
    encoder = encoder_of(folders[kind])
    ids_BL = encoder.queries(["read sort " * 50])["input_ids"]
    assert ids_BL.shape == (1, QUERY_TOKENS)
    assert ids_BL[0, [0, -1]].tolist() == [encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id]


def test_token_types_are_passed_only_where_the_tokenizer_gives_them(folders: dict[str, Path]) -> None:
    assert list(encoder_of(folders["bert"]).queries(TEXTS)) == ["input_ids", "attention_mask", "token_type_ids"]
    assert list(encoder_of(folders["roberta"]).queries(TEXTS)) == ["input_ids", "attention_mask"]


def test_queries_and_codes_get_prefixes_of_their_own(folders: dict[str, Path]) -> None:
    prefixed = encoder_of(folders["roberta"], query_prefix="query: ", code_prefix="code: ")
    plain = encoder_of(folders["roberta"])
    for own, other, prefix in [(prefixed.queries, plain.queries, "query: "), (prefixed.codes, plain.codes, "code: ")]:
        assert own(["read a file"])["input_ids"].tolist() == other([f"{prefix}read a file"])["input_ids"].tolist()


@pytest.mark.parametrize("kind", ["roberta", "gpt2"])
def test_an_empty_text_and_half_a_surrogate_pair_do_not_stop_a_run(folders: dict[str, Path], kind: str) -> None:
    encoder = encoder_of(folders[kind]).eval()
    with torch.no_grad():
        assert encoder(encoder.queries([""])).isfinite().all()
        assert encoder(encoder.queries(["\ud83d file"])).isfinite().all()


@pytest.mark.parametrize(
    ("kind", "pooling"), [*KINDS, ("roberta", "pooler"), ("roberta", "last"), ("masked_lm", "cls")]
)
def test_every_parameter_gets_a_gradient_so_ddp_does_not_wait_for_one(
    folders: dict[str, Path], kind: str, pooling: str
) -> None:
    encoder = encoder_of(folders[kind], pooling)
    encoder(encoder.queries(TEXTS)).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_dropout_is_on_after_loading_as_lightning_keeps_the_mode_it_finds(folders: dict[str, Path]) -> None:
    encoder = encoder_of(folders["roberta"])
    assert all(module.training for module in encoder.modules())
    features = encoder.queries(TEXTS)
    assert not torch.equal(encoder(features), encoder(features))


def test_bfloat16_weights_are_trained_in_float32(tmp_path: Path) -> None:
    folder = checkpoints.roberta(tmp_path / "half")
    transformers.RobertaModel.from_pretrained(folder).bfloat16().save_pretrained(folder)
    encoder = encoder_of(folder)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    restored = TransformerEncoder("gone", "mean", QUERY_TOKENS, CODE_TOKENS)
    restored.load_assets(encoder.assets())
    assert {parameter.dtype for parameter in restored.parameters()} == {torch.float32}


def test_the_tokenisation_can_be_pickled_for_the_workers_of_a_loader(folders: dict[str, Path]) -> None:
    encoder = encoder_of(folders["unixcoder"])
    queries = pickle.loads(pickle.dumps(encoder.queries))
    assert queries(TEXTS)["input_ids"].tolist() == encoder.queries(TEXTS)["input_ids"].tolist()
