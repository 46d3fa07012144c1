"""The tiny backbone: its features, its pooling against hand-set numbers, and what training and checkpoints need."""

from __future__ import annotations

import io
import math
import pickle

import pytest
import torch
from torch.nn import functional as F

from src.backbones.tiny import LONGEST_WORD, NEAR, PADDING, POSITIONS, TinyEncoder, rows_of
from src.corpora.base import Pair
from tests.support.doubles import sentences

D, BUCKETS = 13, 10007  # enough rows that the few pieces of a test share none
QUERIES = ["Open the file of a record", "x", "Parse an HTTP header, then close the socket and return it to the pool"]
CODES = ["def open_file(x):\n    return files[x]", "def f(): pass", "def parseHTTPHeader(socket):\n    socket.close()"]


def pairs() -> list[Pair]:
    return [Pair(query, code, str(i), "python") for i, (query, code) in enumerate(sentences(43))]


def fitted(seed: int = 0, **options: float) -> TinyEncoder:
    torch.manual_seed(seed)
    encoder = TinyEncoder(**{"embedding_size": D, "buckets": BUCKETS, **options})
    encoder.fit(pairs())
    return encoder.eval()


def cosine(first_D: torch.Tensor, second_D: torch.Tensor) -> float:
    return F.cosine_similarity(first_D, second_D, dim=0).item()


# Features


def test_the_rows_and_positions_that_checkpoints_depend_on_stay_the_same() -> None:
    assert rows_of("io", BUCKETS) == (8222, 9410, 1014)  # 1 + CRC-32 of io, #<io, #io> modulo BUCKETS
    assert rows_of("", BUCKETS) == (1,)
    assert POSITIONS[:8] == [1, 2, 3, 4, 5, 6, 7, 7]
    assert [POSITIONS[i] for i in (8, 15, 16, 31, 32, 63, 64)] == [8, 8, 9, 9, 10, 10, 11]


def test_camel_case_is_split_like_snake_case() -> None:
    encoder = fitted()
    first, second = encoder.codes(["parseHTTPHeader"]), encoder.codes(["parse_http_header"])
    assert torch.equal(first["rows"], second["rows"])
    assert torch.equal(first["places"], second["places"])


def test_a_repeated_word_counts_once_at_its_first_place() -> None:
    encoder = fitted()
    once, again = (encoder(encoder.codes([code])) for code in ("send the file", "send the file send send"))
    assert torch.equal(once, again)


def test_a_word_of_three_letters_is_not_the_trigram_of_another_word() -> None:
    assert rows_of("set", BUCKETS)[0] not in rows_of("asset", BUCKETS)


@pytest.mark.parametrize("side", ["queries", "codes"])
def test_a_long_text_is_cut_at_its_limit(side: str) -> None:
    encoder = fitted(max_query_tokens=5, max_code_tokens=7)
    limit = {"queries": 5, "codes": 7}[side]
    words = [f"{chr(97 + i)}word" for i in range(11)]
    features = getattr(encoder, side)([" ".join(words[:n]) for n in (limit, limit + 1, limit - 1)])
    embeddings_BD = encoder(features)
    assert torch.equal(embeddings_BD[0], embeddings_BD[1])
    assert not torch.equal(embeddings_BD[0], embeddings_BD[2])


def test_data_pasted_into_code_gives_a_bounded_number_of_features() -> None:
    features = fitted().codes(["def f(): return " + "QUJD" * 5000 + "x" * 50_000])
    assert features["rows"].shape[1] < 5000 * 4
    assert len(rows_of("x" * 50_000, BUCKETS)) == LONGEST_WORD + 1


def test_the_tokenisation_can_be_pickled_for_a_worker() -> None:
    encoder = fitted()
    codes = pickle.loads(pickle.dumps(encoder.codes))
    for name, expected_BL in encoder.codes(CODES).items():
        assert torch.equal(codes(CODES)[name], expected_BL)


# Pooling


def test_pooling_equals_the_hand_computed_sum() -> None:
    encoder = fitted()
    with torch.no_grad():
        encoder.query_log_weight_V.fill_(math.log(3))
        encoder.code_log_weight_V.fill_(math.log(2))
        encoder.place_log_weight.zero_()
        encoder.place_log_weight[1] = math.log(5)  # the second sub-token
        encoder.table_VD.zero_()
        for row, value in zip(rows_of("io", BUCKETS), (1.0, 10.0, 100.0)):
            encoder.table_VD[row] = value
        encoder.table_VD[PADDING] = torch.nan
    query_D = encoder(encoder.queries(["io", "a longer query pads it"]))[0]
    code_BD = encoder(encoder.codes(["io", "def io", "def x(y): return io or io"]))
    torch.testing.assert_close(query_D, torch.full((D,), 3 * 111.0))
    torch.testing.assert_close(code_BD, torch.tensor([2 * 111.0, 2 * 5 * 111, 2 * 111])[:, None].expand(-1, D))


@pytest.mark.parametrize("side", ["queries", "codes"])
def test_padding_and_the_rest_of_the_batch_change_no_embedding(side: str) -> None:
    encoder = fitted()
    texts = {"queries": QUERIES, "codes": CODES}[side]
    together_BD = encoder(getattr(encoder, side)(texts))
    reverse_BD = encoder(getattr(encoder, side)(texts[::-1]))
    alone_BD = torch.cat([encoder(getattr(encoder, side)([text])) for text in texts])
    assert together_BD.shape == (3, D)
    assert torch.equal(together_BD, reverse_BD.flip(0))
    assert torch.equal(together_BD, alone_BD)


def test_queries_and_codes_have_weights_of_their_own() -> None:
    encoder = fitted()
    text = "open the file"
    assert cosine(encoder(encoder.queries([text]))[0], encoder(encoder.codes([text]))[0]) < 0.999
    with torch.no_grad():
        before = encoder(encoder.queries([text])), encoder(encoder.codes([text]))
        encoder.code_log_weight_V[rows_of("file", BUCKETS)[0]] += 1
    assert torch.equal(before[0], encoder(encoder.queries([text])))
    assert not torch.equal(before[1], encoder(encoder.codes([text])))


def test_query_weights_start_at_the_idf() -> None:
    encoder = TinyEncoder(embedding_size=2, buckets=BUCKETS)
    encoder.fit([Pair(query, "def f(): pass", query, "python") for query in ("read it", "read him it", "write it")])
    found = [encoder.query_log_weight_V[rows_of(word, BUCKETS)[0]].exp().item() for word in ("it", "read", "unseen")]
    expected = [math.log(1 + (3 - n + 0.5) / (n + 0.5)) for n in (3, 2, 0)]
    assert found == pytest.approx(expected)


def test_the_name_of_a_function_weighs_more_than_its_body() -> None:
    encoder = fitted(embedding_size=512)
    body = " ".join(f"filler{chr(97 + i)}" for i in range(NEAR))
    query_D = encoder(encoder.queries(["socket"]))[0]
    codes_BD = encoder(encoder.codes([f"def socket {body} tail", f"def tail {body} socket"]))
    assert cosine(query_D, codes_BD[0]) > cosine(query_D, codes_BD[1]) + 0.05


def test_unseen_words_are_similar_to_related_words_only() -> None:
    encoder = fitted(embedding_size=512)
    rotates_D, rotated_D, zebra_D = encoder(encoder.queries(["rotates", "rotated", "zebra"]))
    assert 0.9 > cosine(rotates_D, rotated_D) > 0.3 > cosine(rotates_D, zebra_D)


def test_the_untrained_encoder_finds_most_codes() -> None:
    encoder = fitted(embedding_size=512)
    queries, codes = zip(*sentences(43))
    scores_BC = F.normalize(encoder(encoder.queries(queries))) @ F.normalize(encoder(encoder.codes(codes))).T
    assert (scores_BC.argmax(dim=1) == torch.arange(43)).float().mean() > 0.9


@pytest.mark.parametrize("text", ["", "  \n", "()!? ...", "___", "☃", "\ud800", "\0"])
def test_a_text_without_words_has_a_finite_embedding_that_is_not_zero(text: str) -> None:
    encoder = fitted().train()
    for features in (encoder.queries([text]), encoder.codes([text])):
        embedding_D = encoder(features)[0]
        assert embedding_D.norm() > 0.1
        F.normalize(embedding_D, dim=0).sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


# Training and checkpoints


def test_the_seed_decides_the_embeddings() -> None:
    first, same, other = (encoder(encoder.codes(CODES)) for encoder in (fitted(1), fitted(1), fitted(2)))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_checkpoint_rebuilds_the_encoder() -> None:
    encoder = fitted(1)
    file = io.BytesIO()
    torch.save({"assets": encoder.assets(), "weights": encoder.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    rebuilt = TinyEncoder(embedding_size=D, buckets=BUCKETS)
    rebuilt.load_assets(saved["assets"])
    rebuilt.load_state_dict(saved["weights"])
    assert torch.equal(rebuilt(rebuilt.queries(QUERIES)), encoder(encoder.queries(QUERIES)))
    assert torch.equal(rebuilt(rebuilt.codes(CODES)), encoder(encoder.codes(CODES)))


def test_every_parameter_is_trained() -> None:
    encoder = fitted().train()
    long_code = " ".join(f"{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(71))  # reaches the last place
    queries_BD, codes_BD = encoder(encoder.queries(QUERIES)), encoder(encoder.codes([*CODES, long_code]))
    scores_BC = F.normalize(queries_BD) @ F.normalize(codes_BD).T
    F.cross_entropy(20 * scores_BC, torch.arange(3)).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert (encoder.place_log_weight.grad != 0).all()
    assert (encoder.table_VD.grad[PADDING] == 0).all()


def test_dropout_is_on_in_training_alone() -> None:
    encoder = fitted(dropout=0.5)
    features = encoder.codes(CODES)
    assert torch.equal(encoder(features), encoder(features))
    encoder.train()
    assert not torch.equal(encoder(features), encoder(features))


def test_bfloat16_autocast_stays_close_to_float32() -> None:
    encoder = fitted()
    features = encoder.codes(CODES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        blurred_BD = encoder(features)
    torch.testing.assert_close(blurred_BD.float(), encoder(features), rtol=0.02, atol=0.1)
