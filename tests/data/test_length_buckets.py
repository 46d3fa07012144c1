"""A batch in parts is the batch: embeddings, gradients and losses of the padded whole, and dropout of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from src.backbones.base import Encoder
from src.backbones.tiny import TinyEncoder
from src.data.length_buckets import LARGE, Buckets, LengthBucketer, UntokenizedTexts, embed_buckets, token_budget
from src.datamodule import CodeSearchData
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule
from src.utils.ragged import Ragged
from tests.support.doubles import BagEncoder, ListCorpus
from tests.support.encoders import CODES, KINDS, QUERIES, makers


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], Encoder]]:
    return makers(tmp_path_factory.mktemp("checkpoints"))


def gradients(encoder: Encoder, cut: LengthBucketer) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Embeddings of queries and codes, and every parameter's gradient of a function of all of them."""
    items = [encoder.tokenise(QUERIES, "query"), encoder.tokenise(CODES, "code")]
    queries_BD, codes_BD = (embed_buckets(cut(of_side), encoder) for of_side in items)
    (0.1 * queries_BD @ codes_BD.T).logsumexp(dim=1).sum().backward()
    found = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    return torch.stack([queries_BD, codes_BD]).detach(), found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
@pytest.mark.parametrize("kind", KINDS)
def test_parts_keep_the_embeddings_and_gradients(encoders, kind: str, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    encoder = encoders[kind]()
    encoder.fit([])
    encoder.eval().to(dtype)
    whole, of_whole = gradients(encoder, LengthBucketer(encoder))
    assert of_whole
    for budget, most in [(60, None), (47, 3), (None, 2), (1, None)]:
        parts, of_parts = gradients(encoder, LengthBucketer(encoder, budget, most))
        torch.testing.assert_close(parts, whole, rtol=tolerance, atol=tolerance)
        assert of_parts.keys() == of_whole.keys()
        for name, expected in of_whole.items():
            scale = max(1.0, expected.abs().max().item())
            torch.testing.assert_close(of_parts[name] / scale, expected / scale, rtol=0, atol=tolerance, msg=name)


@pytest.mark.parametrize("kind", ["tiny", "bert", "qwen", "graphcodebert"])
def test_every_part_and_repetition_draws_its_own_dropout(encoders, kind: str) -> None:
    torch.manual_seed(0)
    encoder = encoders[kind]()
    encoder.fit([])
    encoder.train()
    cut = LengthBucketer(encoder, most=2)
    items = encoder.tokenise([CODES[3]] * 7, "code")
    first_BD, second_BD = (embed_buckets(cut(items), encoder) for _ in range(2))
    assert len({tuple(row) for row in torch.cat([first_BD, second_BD]).tolist()}) == 14


class Counting(BagEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, features):
        self.shapes.append(tuple(features["ids"].shape))
        return super().forward(features)


def test_parts_keep_to_their_budget_and_record_the_order_of_the_batch() -> None:
    encoder = BagEncoder()
    items = Ragged.of({"ids": [[1], [2] * 5, [3] * 2, [4] * 4, [5] * 5, [6] * 7]})
    side = LengthBucketer(encoder, budget=10)(items)
    # by hand: 7 alone, 5 and 5, 4 and 2, 1
    assert [part["ids"].tolist() for part in side.features] == [
        [[6] * 7],
        [[2] * 5, [5] * 5],
        [[4] * 4, [3] * 2 + [0] * 2],
        [[1]],
    ]
    assert side.place_B.tolist() == [5, 1, 4, 3, 2, 0]
    assert [len(part["ids"]) for part in LengthBucketer(encoder, 10, most=1)(items).features] == [1] * 6
    assert LengthBucketer(encoder, budget=42)(items)["ids"].shape == (6, 7)  # 6 x 7 fit, and need no parts


def test_the_negatives_of_a_query_are_those_of_the_whole_batch() -> None:
    losses, shapes = [], []
    for budget in (None, 16):
        torch.manual_seed(0)
        module = CodeSearchModule(Counting(), InfoNCE(), "cosine", 20.0)
        data = CodeSearchData(ListCorpus(), module.encoder, batch_size=11, token_budget=budget)
        data.setup("fit")
        module.log = lambda *args, **kwargs: None
        module.lr_schedulers = lambda: type("Schedule", (), {"get_last_lr": lambda self: [0.0]})()
        losses.append([module.training_step(batch, 0) for batch in data.train_dataloader()])
        shapes.append(module.encoder.shapes)
    assert len(losses[0]) == 2
    torch.testing.assert_close(*losses, rtol=1e-6, atol=1e-6)
    assert len(shapes[0]) == 4
    assert len(shapes[1]) > 20
    assert all(rows * length <= 16 for rows, length in shapes[1])


def test_texts_come_in_the_order_of_the_requested_rows() -> None:
    encoder = BagEncoder()
    items = UntokenizedTexts(encoder, QUERIES, "query")[np.array([4, 0, 4])]
    assert items.padded("ids", 0).tolist() == encoder.queries([QUERIES[i] for i in (4, 0, 4)])["ids"].tolist()


def test_an_automatic_budget_depends_on_the_encoder_and_the_device() -> None:
    assert token_budget("auto", BagEncoder(), "cpu") == 1024
    assert token_budget("auto", BagEncoder(), "cuda") == LARGE
    assert token_budget("auto", TinyEncoder(17, 101), "cpu") is None
    assert token_budget(None, BagEncoder(), "cpu") is None
    assert token_budget(7, TinyEncoder(17, 101), "cpu") == 7


# Gradient caching: parts that are embedded again in the backward pass


def trained(
    encoder: Encoder, gradient_caching: bool, cut: LengthBucketer, autocast: bool = False
) -> dict[str, torch.Tensor]:
    """Gradients after two batches, as accumulate_grad_batches=2 leaves them, under dropout."""
    module = CodeSearchModule(encoder, InfoNCE(), "cosine", 20.0, gradient_caching=gradient_caching).train()
    torch.manual_seed(5)
    for texts in (QUERIES, QUERIES[::-1]):
        items = [encoder.tokenise(texts, "query"), encoder.tokenise(CODES, "code")]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            scores_BB = module.score(*(module.embed(cut(side)) for side in items))
        (module.loss(scores_BB, torch.arange(len(texts))).mean() / 2).backward()
    found = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    return found


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_replayed_parts_give_the_same_gradients(encoders, kind: str, autocast: bool) -> None:
    torch.manual_seed(0)
    encoder = encoders[kind]()
    encoder.fit([])
    if not autocast:
        encoder.double()
    cut = LengthBucketer(encoder, 60, most=3)
    kept, replayed = (trained(encoder, gradient_caching, cut, autocast) for gradient_caching in (False, True))
    assert kept.keys() == replayed.keys()
    assert max(gradient.abs().max() for gradient in kept.values()) > 1e-3
    for name, expected in kept.items():
        torch.testing.assert_close(replayed[name], expected, rtol=1e-10, atol=1e-10, msg=name)


def bytes_kept(encoder: Encoder, batch: int, gradient_caching: bool) -> int:
    """What autograd saves for the backward pass of a batch, the parameters aside."""
    module = CodeSearchModule(encoder, InfoNCE(), "cosine", 20.0, gradient_caching=gradient_caching).train()
    side = LengthBucketer(encoder, most=8)(encoder.tokenise([CODES[3]] * batch, "code"))
    parameters = {parameter.data_ptr() for parameter in module.parameters()}
    saved: dict[int, int] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in parameters:
            saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        embeddings_BD = module.embed(side)
    assert len(embeddings_BD) == batch
    return sum(saved.values())


def test_replay_keeps_far_less_for_the_backward_pass_than_a_single_part(encoders) -> None:
    encoder = encoders["bert"]()
    encoder.fit([])
    one_part = bytes_kept(encoder, 8, gradient_caching=False)
    assert bytes_kept(encoder, 64, gradient_caching=False) > 7 * one_part
    assert bytes_kept(encoder, 64, gradient_caching=True) < one_part / 10  # what is done to all embeddings together


def test_parts_are_replayed_in_training_but_not_in_evaluation() -> None:
    encoder = Counting()
    module = CodeSearchModule(encoder, InfoNCE(), gradient_caching=True)
    side = LengthBucketer(encoder, most=5)(encoder.tokenise(QUERIES, "query"))
    module.embed(side).sum().backward()
    assert len(encoder.shapes) == 6  # 3 parts, twice
    encoder.shapes.clear()
    module.eval().embed(side).sum().backward()
    assert len(encoder.shapes) == 3
    module.train()
    with torch.no_grad():
        module.embed(side)
    assert len(encoder.shapes) == 6


def test_the_chunk_cuts_training_batches_but_not_evaluation_batches() -> None:
    data = CodeSearchData(ListCorpus(), BagEncoder(), batch_size=11, chunk=4)
    data.setup("fit")
    for batch in data.train_dataloader():
        assert [len(part["ids"]) for part in batch.codes.features] == [4, 4, 3]
    assert not any(isinstance(batch.features, Buckets) for loader in data.val_dataloader() for batch in loader)
