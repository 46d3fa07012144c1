"""Several processes train, evaluate and log exactly what one does with the whole batch."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.strategies import ModelParallelStrategy

from src.backbones.base import Encoder
from src.backbones.transformer import TransformerEncoder
from src.corpora.base import Split
from src.data.samplers import EpochSampler, RankZeroSampler, SimilarBatches
from src.datamodule import CodeSearchData
from src.losses.soft_infonce import SoftInfoNCE
from src.module import CodeSearchModule
from src.runtime.distributed import RankSlice, all_gather_rows, all_gather_with_grad, loader_workers, seed_per_rank
from src.training.callbacks import NegativeWeights
from src.weights.bm25 import BM25Estimator
from tests.backbones.checkpoints import bert
from tests.support.doubles import BagEncoder, ListCorpus
from tests.support.processes import several

CLIP = 0.001


class Copies(ListCorpus):
    """23 pairs of which two share a query and two a code: negatives are masked in every batch that they meet in."""

    def split(self, name: str) -> Split:
        split = super().split(name)
        if name != "train":
            return split
        pairs = list(split.pairs)
        for i in range(0, 20, 2):
            pairs[i] = replace(pairs[i], query=pairs[0].query)
        pairs[7] = replace(pairs[7], code=pairs[3].code)
        return Split(name, pairs)


def data(encoder: Encoder, corpus: ListCorpus | None = None, **options) -> CodeSearchData:
    estimator = BM25Estimator(statistics="batch")  # whose similarities depend on all columns
    given = {"batch_size": 8, "eval_batch_size": 3, "mask_duplicates": True, "seed": 5, **options}
    return CodeSearchData(corpus or Copies(), encoder, estimator, **given)


class Watch(L.Callback):
    """Gradients after clipping, and every loss that is logged."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, torch.Tensor]] = []
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, module, *args) -> None:
        held = {name: value.grad for name, value in module.named_parameters() if value.grad is not None}
        self.gradients.append({name: whole(value).clone() for name, value in held.items()})
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Of a sharded tensor, all of it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def trained(folder: Path, checkpoint: Path | None, world: int, strategy: str = "ddp", parts: bool = False) -> dict:
    """Two epochs of two steps of eight pairs, and the test; with `parts`, of at most 2 texts, embedded twice."""
    torch.manual_seed(0)
    encoder = TransformerEncoder(str(checkpoint), "mean", 61, 61, dropout=0.0) if checkpoint else BagEncoder()
    encoder.fit(())
    encoder.double()
    module = CodeSearchModule(
        *(encoder, SoftInfoNCE(alpha=2.0, beta=1.0, weight_temperature=0.5), "dot", 1.0),
        learning_rate=1e-3,
        gradient_caching=parts,
    )
    watch = Watch()
    sharded = ModelParallelStrategy(world, 1, save_distributed_checkpoint=False) if strategy == "fsdp" else strategy
    trainer = L.Trainer(
        accelerator="cpu",
        devices=world,
        strategy=sharded if world > 1 else "auto",
        use_distributed_sampler=False,
        max_epochs=2,
        gradient_clip_val=CLIP,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        callbacks=[watch, NegativeWeights()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    made = data(encoder, token_budget=67 if parts else None, chunk=2 if parts else None)
    trainer.fit(module, datamodule=made)
    logged = ("val/", "negatives/", "weights/min", "weights/effective")
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(logged)}
    trainer.test(module, datamodule=made, verbose=False)
    return {
        "gradients": watch.gradients,
        "losses": watch.losses,
        "weights": {name: whole(value).detach() for name, value in module.named_parameters()},
        "metrics": metrics,
        "sharded": all(hasattr(value, "full_tensor") for value in module.parameters()),
        "ranks": module.test_ranks,
    }


@pytest.fixture(scope="module")
def small_bert(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return bert(tmp_path_factory.mktemp("checkpoint") / "bert")


@pytest.mark.parametrize(
    ("world", "backbone", "strategy", "parts"),
    [
        (2, "bag", "ddp", False),
        (2, "bert", "ddp", False),
        (2, "bert", "ddp", True),
        (2, "bert", "fsdp", True),
        (4, "bag", "ddp", False),
        (4, "bert", "ddp", True),
    ],
)
def test_several_processes_train_the_same_model_as_one(
    world, backbone, strategy, parts, small_bert, tmp_path, monkeypatch
):
    # In float64: AdamW makes whole steps out of gradients near 0, which in float32 are rounding and nothing else.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    checkpoint = small_bert if backbone == "bert" else None
    one = trained(tmp_path, checkpoint, 1)
    assert len(one["metrics"]) == 6
    assert len(one["gradients"]) == len(one["losses"]) == 4
    norm = torch.stack([gradient.norm() for gradient in one["gradients"][0].values()]).norm()
    assert norm.item() == pytest.approx(CLIP, rel=1e-3)  # it was larger
    for here in several(world, tmp_path / "together", trained, tmp_path, checkpoint, world, strategy, parts):
        assert here["sharded"] == (strategy == "fsdp")
        assert here["losses"] == pytest.approx(one["losses"], rel=1e-6)  # which Lightning keeps in float32
        for gradients, expected in zip(here["gradients"], one["gradients"], strict=True):
            assert gradients.keys() == expected.keys()
            for name in expected:
                torch.testing.assert_close(gradients[name], expected[name], rtol=1e-7, atol=1e-10)
        for name, expected in one["weights"].items():
            torch.testing.assert_close(here["weights"][name], expected, rtol=1e-7, atol=1e-8)
        assert here["metrics"] == pytest.approx(one["metrics"], rel=1e-6)
        assert here["ranks"].tolist() == one["ranks"].tolist()


# What each device does


def test_shares_hold_every_row_once_and_are_of_nearly_equal_size():
    for total, world in itertools.product((1, 7, 12), (1, 2, 3, 5)):
        parts = [list(range(total))[RankSlice(rank, world).rows(total)] for rank in range(world)]
        assert list(itertools.chain(*parts)) == list(range(total))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


class Languages(ListCorpus):
    """23 pairs of two languages."""

    batches = "one_language"

    def split(self, name: str) -> Split:
        split = super().split(name)
        if name != "train":
            return split
        pairs = [replace(pair, language="go" if i % 3 else "ruby") for i, pair in enumerate(split.pairs)]
        return Split(name, pairs)


def epochs(rank_slice: RankSlice) -> list[dict]:
    """The batches of two epochs, of alike pairs of one language, as one device gets them."""
    made = data(BagEncoder(), Languages(), batching=SimilarBatches(group=2), batch_size=4, num_workers=0)
    made.setup("fit")
    made.__class__ = type("Shared", (CodeSearchData,), {"rank_slice": rank_slice})
    loader = made.train_dataloader()
    return [made.on_after_batch_transfer(batch, 0) for _ in range(2) for batch in loader]


def own_epochs() -> list[dict]:
    return epochs(RankSlice(torch.distributed.get_rank(), torch.distributed.get_world_size()))


def test_the_batches_of_two_devices_join_to_those_of_one(tmp_path):
    alone, (first, second) = epochs(RankSlice()), several(2, tmp_path, own_epochs)
    assert len(alone) == len(first) == len(second) == 10  # 8 and 15 pairs
    for whole_batch, upper, lower in zip(alone, first, second):
        for side in ("queries", "codes"):
            texts = [
                tuple(x for x in row if x) for part in (upper, lower) for row in getattr(part, side)["ids"].tolist()
            ]
            assert texts == [tuple(x for x in row if x) for row in getattr(whole_batch, side)["ids"].tolist()]
        for block in ("positive_B", "similarity_BC", "excluded_BC"):
            both = torch.cat([getattr(upper, block), getattr(lower, block)])
            assert torch.equal(both, getattr(whole_batch, block))
        assert upper.similarity_BC.shape == (2, 4)


def leaders_orders() -> list[list[int]]:
    rank_slice = RankSlice(torch.distributed.get_rank(), 2)
    order = RankZeroSampler(
        EpochSampler(11, seed=rank_slice.rank), rank_slice
    )  # as if other hardware had found another order
    order.set_epoch(3)
    return [list(order), order.order(4).tolist()]


def gathered() -> dict:
    rank = torch.distributed.get_rank()
    rank_slice = RankSlice(rank, 2)
    codes_bD = (torch.arange(6.0).reshape(3, 2) + 10 * rank).requires_grad_()
    codes_CD = all_gather_with_grad(codes_bD, rank_slice)
    (codes_CD * (rank + 1) * torch.arange(12.0).reshape(6, 2)).sum().backward()
    torch.manual_seed(7)
    seed_per_rank(rank_slice)
    return {
        "columns": codes_CD.detach(),
        "gradient": codes_bD.grad,
        "uneven": all_gather_rows(torch.full((3 * rank, 2), 5 + rank), rank_slice),
        "drawn": torch.rand(3),
        "orders": leaders_orders(),
    }


def test_gathering_keeps_gradients_and_order_and_allows_a_device_without_rows(tmp_path):
    found = several(2, tmp_path, gathered)
    for rank, here in enumerate(found):
        assert here["columns"][:, 0].tolist() == [0, 2, 4, 10, 12, 14]
        # both devices' weights of these columns: 1 x and 2 x their number
        assert here["gradient"].tolist() == (3 * torch.arange(12.0).reshape(6, 2))[3 * rank : 3 * rank + 3].tolist()
        assert here["uneven"].tolist() == [[6, 6]] * 3
        assert here["orders"] == [EpochSampler(11, 0).order(3).tolist(), EpochSampler(11, 0).order(4).tolist()]
    assert not torch.equal(found[0]["drawn"], found[1]["drawn"])  # else the dropout of both is the same
    torch.manual_seed(7)
    assert torch.equal(found[0]["drawn"], torch.rand(3))  # the first device's is that of one alone


def test_one_device_gathers_nothing_and_keeps_its_random_state():
    codes = torch.ones(3, 2, requires_grad=True)
    assert all_gather_with_grad(codes, RankSlice()) is codes
    assert all_gather_rows(codes, RankSlice()) is codes
    state = torch.get_rng_state()
    seed_per_rank(RankSlice())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("world", [2, 3, 5])
def test_devices_embed_the_batches_of_one_device_in_equally_many_turns(world):
    texts = [f"{'word ' * (i % 5)}{i % 11}" for i in range(23)]
    one = data(BagEncoder())._text_loader(texts, "code")
    batches = list(one)
    shares = []
    for rank in range(world):
        made = data(BagEncoder())
        made.__class__ = type("Shared", (CodeSearchData,), {"rank_slice": RankSlice(rank, world)})
        shares.append(list(made._text_loader(texts, "code")))
    assert len({len(share) for share in shares}) == 1  # a sharded model needs all devices in every batch
    embedded = [batch for turn in zip(*shares) for batch in turn]
    for here, there in zip(embedded, batches):  # padded as one device pads them: the same to the last bit
        assert torch.equal(here.features["ids"], there.features["ids"])
        assert torch.equal(here.row_R, there.row_R)
    assert all(not len(batch.row_R) for batch in embedded[len(batches) :])
    rows = torch.cat([batch.row_R for batch in embedded])
    assert sorted(rows.tolist()) == list(range(23))


def test_auto_means_one_loader_process_on_cuda_and_none_on_a_cpu():
    assert loader_workers("auto", "cpu") == 0
    assert loader_workers("auto", "cuda") == 1
    assert loader_workers(2, "cpu") == 2
