"""What classes take, from their signatures and docstrings."""

from __future__ import annotations

from typing import Annotated, Any

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch._dynamo.mutation_guard import install_generation_tagging_init

from src.backbones.unixcoder import UniXcoderEncoder
from src.config.arguments import arguments, kwargs_key
from src.corpora.dedup import deduplicated
from src.losses.infonce import InfoNCE
from src.training.build import trainer
from src.weights.simcse import SimCSEEstimator


class Base:
    """A base.

    Args:
        one, two: of both. More of it.
        three: as long as it takes, in a sentence that goes
            on; here. The second one.
    """

    def __init__(self, one: int, two: str = "x", three: float = 1.0, **more: Annotated[Any, Other]) -> None:
        pass


class Derived(Base):
    """Another.

    Args:
        one: as `Base`.
        two: its own, such as None.
    """


class Other:
    """What is passed on.

    Args:
        four: the fourth.
    """

    def __init__(self, four: int = 4) -> None:
        pass


def test_sentences_are_whole_and_inherited():
    found = arguments(Derived)
    assert list(found) == ["one", "two", "three", "four"]
    assert found["one"].sentence == "of both"
    assert found["two"].sentence == "its own, such as null"
    assert found["three"].sentence == "as long as it takes, in a sentence that goes on; here"
    assert found["four"].sentence == "the fourth"


def test_required_arguments_and_their_types_are_found():
    found = arguments(Base)
    assert [name for name, item in found.items() if item.required] == ["one"]
    assert (found["one"].annotation, found["three"].annotation) == (int, float)


def test_options_that_are_passed_on_are_found():
    assert "limit_train_batches" in arguments(trainer)
    assert "grad_cache_chunk" in arguments(trainer)
    assert "grad_cache_chunk" not in arguments(L.Trainer)
    assert {"pooling", "frozen_layers", "dtype"} <= arguments(UniXcoderEncoder).keys()
    assert kwargs_key(deduplicated) == "of"
    assert kwargs_key(trainer) == ""
    assert kwargs_key(InfoNCE) == ""
    assert kwargs_key(DDPStrategy) is None


def test_a_compiled_model_changes_no_arguments():
    install_generation_tagging_init()  # as torch.compile does, once and for good
    assert torch.nn.Module.__init__.__module__ == "torch._dynamo.mutation_guard"
    assert kwargs_key(InfoNCE) == ""
    assert arguments.__wrapped__(InfoNCE) == {}


def test_a_constructor_without_arguments_has_none():
    assert arguments(InfoNCE) == {}
    assert all(item.sentence for item in arguments(SimCSEEstimator).values())
