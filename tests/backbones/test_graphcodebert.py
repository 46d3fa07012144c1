"""GraphCodeBERT's input and embedding: by hand, against a slow construction, against transformers called directly."""

from __future__ import annotations

import gzip
import json
import pickle
import random
from pathlib import Path

import pytest
import torch
import transformers
from omegaconf import OmegaConf

from src.backbones.graphcodebert import COLUMNS, GraphCodeBERTEncoder, graph_item, graph_mask
from src.config.checks import check_part
from src.dataflow import LANGUAGES, extract_dataflow
from src.utils.errors import InputError
from src.utils.ragged import Ragged, within
from tests.backbones import checkpoints
from tests.backbones.checkpoints import HIDDEN, TEXTS
from tests.backbones.test_transformer import exact, roberta_ids

GOLDEN = Path(__file__).parents[1] / "golden" / "dataflow_cases.jsonl.gz"
CODES = [
    "def read_file(path):\n    with open(path) as file:\n        return file.read()",
    "def f(a, b):\n    c = a\n    for i in b:\n        c = c + i\n    return c",
    "",
    "def broken(:",
    "naïve = Größe",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return checkpoints.roberta(tmp_path_factory.mktemp("graphcodebert") / "checkpoint")


def encoder_of(folder: Path, nodes: int = 17, tokens: int = 41, language: str = "python") -> GraphCodeBERTEncoder:
    encoder = GraphCodeBERTEncoder(str(folder), language, "pooler", 11, tokens, nodes)
    encoder.fit([])
    return encoder


def graph_input(pieces, edges, *limits, **ends):
    """ids, positions and bool (L, L) of one function, which stands between two others in its batch."""
    item, other = graph_item(pieces, edges, *limits, **ends), graph_item([[5], [6]], [], 7, 0, start=0, end=2)
    items = Ragged.of(dict(zip(COLUMNS, zip(other, item, other))))
    ids, nodes = (items.lengths(name) for name in ("ids", "first"))
    width = (ids + nodes).max()
    code_BL, used_BL = (torch.from_numpy(within(lengths, width)) for lengths in (ids, ids + nodes))
    sees_BLL = graph_mask(items, code_BL, used_BL)
    length = ids[1] + nodes[1]
    assert not sees_BLL[1, length:].any()
    assert not sees_BLL[1, :, length:].any()
    assert sees_BLL[0].tolist() == sees_BLL[2].tolist()
    positions = [*range(2, 2 + ids[1]), *[0] * nodes[1]]
    return item[0], positions, sees_BLL[1, :length, :length]


def seen(rows: str) -> list[list[bool]]:
    return [[mark == "1" for mark in row] for row in rows.split()]


def test_the_graph_of_six_tokens_and_three_nodes_equals_the_hand_drawn_one():
    tokens, edges = extract_dataflow("x = y\nx", "python")  # with <s> and </s> six
    assert tokens == ["x", "=", "y", "x"]
    assert sorted(edge[1:5:3] for edge in edges) == [[0, [2]], [2, []], [3, [0]]]  # x from y, y, x from x
    ids, positions, sees_LL = graph_input([[10], [11], [12], [10]], edges, 20, 5, start=0, end=2)
    assert ids == [0, 10, 11, 12, 10, 2]
    assert positions == [2, 3, 4, 5, 6, 7, 0, 0, 0]
    #     columns: <s> x = y x </s> node x, node y, node x
    assert sees_LL.tolist() == seen(
        """
        111111111
        111111100
        111111000
        111111010
        111111001
        111111111
        010000010
        000100000
        000010100
        """
    )


def slow(pieces, edges, tokens, nodes, start, end):
    """The same from its description, one pair of places at a time."""
    order = sorted(edges, key=lambda edge: edge[1])
    places = tokens + nodes
    code = [(id_, place) for place, piece in enumerate(pieces) for id_ in piece]
    code = code[: places - 2 - min(len(order), nodes)]
    whole = [place for place, piece in enumerate(pieces) if sum(p == place for _, p in code) == len(piece)]
    order = [edge for edge in order[: places - len(code) - 2] if edge[1] in whole] if nodes else []
    kinds = [("special", None), *[("code", place) for _, place in code], ("special", None)]
    kinds += [("node", row) for row in range(len(order))]

    def sees(row, column):
        (kind, a), (other, b) = kinds[row], kinds[column]
        if kind == "special" or (kind != "node" and other != "node"):
            return True
        if kind == "node" and other == "code":
            return order[a][1] == b
        if kind == "code" and other == "node":
            return order[b][1] == a
        last = kind == other == "node" and not any(edge[1] == order[b][1] for edge in order[b + 1 :])
        return last and order[b][1] in order[a][4]

    matrix = [[sees(row, column) for column in range(len(kinds))] for row in range(len(kinds))]
    positions = [0 if kind == "node" else 2 + place for place, (kind, _) in enumerate(kinds)]
    return [start, *[id_ for id_, _ in code], end], positions, matrix


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_graph_equals_a_slow_construction(language):
    rng = random.Random(0)
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        cases = [case for case in map(json.loads, lines) if case["language"] == language][:12]
    for case in cases:
        tokens, edges = extract_dataflow(case["code"], language)
        pieces = [[rng.randrange(5, 400) for _ in range(rng.choice((1, 1, 2, 3)))] for _ in tokens]
        for limits in [(256, 64), (31, 17), (13, 5), (29, 0)]:
            ids, positions, sees_LL = graph_input(pieces, edges, *limits, start=0, end=2)
            assert (ids, positions, sees_LL.tolist()) == slow(pieces, edges, *limits, start=0, end=2)
            assert len(positions) <= sum(limits)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_embeddings_are_those_of_transformers_called_by_hand(folder, attention):
    encoder = encoder_of(folder)
    encoder.model.set_attn_implementation(attention)
    exact(encoder)
    model = exact(transformers.RobertaModel.from_pretrained(folder, attn_implementation=attention))
    features = encoder.codes(CODES)
    with torch.no_grad():
        embeddings_BD = encoder(features)
        assert embeddings_BD.shape == (len(CODES), HIDDEN)
        for row, embedding_D in enumerate(embeddings_BD):
            length = int((features["position_ids"][row] != 1).sum())
            places_L = features["position_ids"][row, :length]
            sees_LL = features["attention_mask"][row, :length, :length]
            words_LD = model.embeddings.word_embeddings(features["input_ids"][row, :length])
            for place in range(length):
                if places_L[place] == 0:
                    own = [column for column in range(length) if sees_LL[place, column] and places_L[column] > 1]
                    words_LD[place] = words_LD[own].mean(dim=0)
            mask_LL = torch.zeros(length, length, dtype=torch.float64).masked_fill(~sees_LL, -1e9)
            outputs = model(
                inputs_embeds=words_LD[None], position_ids=places_L[None], attention_mask=mask_LL[None, None]
            )
            torch.testing.assert_close(embedding_D, outputs.pooler_output[0], atol=1e-6, rtol=0)


def test_the_data_flow_changes_an_embedding(folder):
    encoder = exact(encoder_of(folder))
    features = encoder.codes(CODES)
    nodes_BL = features["position_ids"] == 0
    assert nodes_BL.sum(dim=1).tolist()[1:4] == [10, 0, 0]
    without = dict(features, attention_mask=features["attention_mask"] & ~nodes_BL[:, None] & ~nodes_BL[:, :, None])
    with torch.no_grad():
        changed_B = (encoder(features) - encoder(without)).abs().amax(dim=1)
        encoder.max_nodes = 0
        torch.testing.assert_close(encoder(encoder.codes(CODES[2:])), encoder(without)[2:], atol=1e-6, rtol=0)
    assert (changed_B > 1e-3).tolist() == [True, True, False, False, True]


def test_neighbours_in_a_batch_do_not_change_an_embedding(folder):
    encoder = exact(encoder_of(folder))
    with torch.no_grad():
        together_BD = encoder(encoder.codes(CODES))
        alone_BD = torch.cat([encoder(encoder.codes([code])) for code in CODES])
    assert together_BD.isfinite().all()
    torch.testing.assert_close(together_BD, alone_BD, atol=1e-6, rtol=0)


def test_queries_are_read_as_by_roberta(folder):
    encoder = encoder_of(folder)
    features = encoder.queries(TEXTS)
    for ids_L, mask_L, text in zip(features["input_ids"], features["attention_mask"], TEXTS):
        assert ids_L[: mask_L.sum()].tolist() == roberta_ids(folder, text, 11)


def test_leaves_of_the_tree_are_tokenised_one_by_one(folder):
    encoder = encoder_of(folder)
    tokens = extract_dataflow(CODES[1], "python")[0]
    expected = [roberta_ids(folder, " " * (place > 0) + token, 99)[1:-1] for place, token in enumerate(tokens)]
    ids_L, places_L = (encoder.codes([CODES[1]])[name][0] for name in ("input_ids", "position_ids"))
    flat = [id_ for piece in expected for id_ in piece][: 41 + 17 - 2 - 10]  # 10 nodes leave the rest to code
    assert ids_L[places_L > 1].tolist() == [0, *flat, 2]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_gives_finite_embeddings(folder, dtype):
    encoder = encoder_of(folder).eval()
    features = encoder.codes(CODES)
    with torch.no_grad(), torch.autocast("cpu", dtype):
        assert encoder(features).isfinite().all()


def test_every_parameter_gets_a_gradient(folder):
    encoder = encoder_of(folder)
    encoder(encoder.codes(CODES)).square().sum().backward()
    assert [name for name, value in encoder.named_parameters() if value.grad is None] == []


def test_a_checkpoint_rebuilds_the_encoder(folder):
    encoder = exact(encoder_of(folder))
    restored = GraphCodeBERTEncoder("gone", "python", "pooler", 11, 41, 17)
    restored.load_assets(encoder.assets())
    restored.load_state_dict(encoder.state_dict())
    exact(restored)
    with torch.no_grad():
        assert torch.equal(restored(restored.codes(CODES)), encoder(encoder.codes(CODES)))


def test_the_tokenisation_can_be_pickled_for_the_workers_of_a_loader(folder):
    encoder = encoder_of(folder)
    codes = pickle.loads(pickle.dumps(encoder.codes))
    assert torch.equal(codes(CODES)["attention_mask"], encoder.codes(CODES)["attention_mask"])


def test_half_a_surrogate_pair_does_not_stop_a_run(folder):
    assert encoder_of(folder).codes(["x = '\ud83d'"])["input_ids"].shape[0] == 1


def test_settings_that_cannot_work_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="found 'pyhton'; did you mean 'python'"):
        encoder_of(folder, language="pyhton")
    node = {"_target_": "src.backbones.graphcodebert.GraphCodeBERTEncoder", "name": "any", "language": "python"}
    with pytest.raises(InputError, match="max_nodes: expected a whole number of 0 or more, found -1"):
        check_part("backbone.encoder", OmegaConf.create({**node, "max_nodes": -1}))
    with pytest.raises(InputError, match=r"max_code_tokens=48 and max_nodes=17.* positions for 64"):
        encoder_of(folder, tokens=48)
    with pytest.raises(InputError, match=r"encoder\.pooling: expected pooler or cls, found 'mean'"):
        check_part("backbone.encoder", OmegaConf.create({**node, "pooling": "mean"}))
    with pytest.raises(InputError, match=r"needs a RoBERTa checkpoint, and .* is a BertModel"):
        encoder_of(checkpoints.bert(tmp_path / "bert"))
