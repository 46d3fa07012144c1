"""Fine-tuning within a machine's means: LoRA, frozen layers, gradient checkpointing, attention kernels."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils import is_flash_attn_2_available

from src.backbones.architecture import embeddings, layers
from src.config.types import Count, Dropout, Effect, Positive, Whole
from src.utils.errors import InputError, nearest

ATTENTIONS = ("sdpa", "eager", "flash_attention_2")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class LoRA:
    """Small trainable matrices beside frozen linear layers: W x + alpha / rank B A x (Hu et al. 2021, 2106.09685).

    Args:
        rank: rows of A and columns of B; None trains the weights themselves.
        alpha: None is twice the rank, a common choice.
        dropout: of x on its way into A.
        targets: `auto`, every linear layer; or the last parts of their names, such as [query, value].

    Raises:
        InputError: a number out of its range, or peft is not installed.
    """

    rank: Count | None = None
    alpha: Positive | None = None
    dropout: Dropout = 0.0
    targets: str | Sequence[str] = "auto"

    def __post_init__(self) -> None:
        if self.rank is None:
            return
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise InputError(f"backbone.lora.rank must be a whole number from 1, or null for none, found {self.rank!r}")
        if self.alpha is not None and not self.alpha > 0:
            raise InputError(f"backbone.lora.alpha must be above 0, or null for twice the rank, found {self.alpha!r}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"backbone.lora.dropout must be from 0 to below 1, found {self.dropout!r}")
        if importlib.util.find_spec("peft") is None:
            raise InputError(f"backbone.lora.rank={self.rank} needs peft, an optional extra: pip install -e '.[lora]'")


@dataclass(frozen=True)
class Adaptation:
    """What of a pretrained model trains, and what its training costs.

    Args:
        lora: arguments of `LoRA`.
        frozen_layers: the embeddings and this many first layers do not train; 0: everything trains.
        gradient_checkpointing: keeps each layer's input only and computes the rest again: less memory, more time.
        attn_implementation: `sdpa`, `eager`, `flash_attention_2`; None leaves the choice to transformers.
        dtype: of the frozen weights under LoRA, `float32` or `bfloat16`; what trains is float32 in any case, since a
            step of 1e-6 vanishes in bfloat16.

    Raises:
        InputError: an unknown name, a number out of its range, or two of these that exclude each other.
    """

    lora: Annotated[LoRA | Mapping[str, Any] | None, LoRA] = None
    frozen_layers: Annotated[Whole, Effect.TRAINING] = 0
    gradient_checkpointing: Annotated[bool, Effect.TRAINING] = False
    attn_implementation: Annotated[str | None, Effect.TRAINING] = None
    dtype: Annotated[str, Effect.TRAINING] = "float32"

    def __post_init__(self) -> None:
        if not isinstance(self.lora, LoRA):
            object.__setattr__(self, "lora", LoRA(**(self.lora or {})))
        _one_of("dtype", self.dtype, DTYPES)
        if self.attn_implementation is not None:
            _one_of("attn_implementation", self.attn_implementation, ATTENTIONS)
        if self.attn_implementation == "flash_attention_2" and not is_flash_attn_2_available():
            raise InputError(
                "backbone.encoder.attn_implementation=flash_attention_2 needs a CUDA device and the package "
                "flash-attn; set sdpa, which needs neither"
            )
        if self.frozen_layers < 0:
            raise InputError(f"backbone.encoder.frozen_layers must be 0 or more, found {self.frozen_layers}")
        if self.frozen_layers and self.lora.rank:
            raise InputError("backbone.lora freezes every layer: set backbone.encoder.frozen_layers=0 beside it")
        if self.dtype != "float32" and not self.lora.rank:
            raise InputError(
                f"backbone.encoder.dtype={self.dtype} is for frozen weights: set backbone.lora.rank=16 beside it, or "
                "trainer.precision=bf16-mixed to compute in bfloat16"
            )

    @property
    def arguments(self) -> dict[str, str]:
        """What transformers takes when it builds the model."""
        return {"attn_implementation": self.attn_implementation} if self.attn_implementation else {}

    def apply(self, model: PreTrainedModel, name: str) -> PreTrainedModel:
        """The model, changed in place; `name` is that of its checkpoint, for messages."""
        model.to(DTYPES[self.dtype])
        if self.frozen_layers:
            freeze(model, self.frozen_layers, name)
        if self.lora.rank:
            add_lora(model, self.lora, name)
        if self.gradient_checkpointing:
            checkpoint_gradients(model, name)
        return model


def freeze(model: PreTrainedModel, first: int, name: str) -> None:
    """Embeddings and the `first` layers get no gradients. Raises InputError where nothing would be left to train."""
    stack = layers(model)
    if stack is None:
        raise InputError(f"backbone.encoder.frozen_layers={first}, but the layers of {name!r} were not found; set 0")
    if first > len(stack):
        raise InputError(too_many(first, name, len(stack)))
    for module in (*embeddings(model), *stack[:first]):
        module.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"backbone.encoder.frozen_layers={first} leaves nothing of {name!r} to train: set a lower one")


def too_many(first: int, name: str, layers: int) -> str:
    """The line for more frozen layers than there are."""
    return f"backbone.encoder.frozen_layers={first}, but {name!r} has {layers} layers"


def checkpoint_gradients(model: PreTrainedModel, name: str) -> None:
    """Layers run again in the backward pass. Raises InputError where the architecture does not know how."""
    if not model.supports_gradient_checkpointing:
        raise InputError(f"backbone.encoder.gradient_checkpointing: {name!r} does not support it; set false")
    # Not reentrant: that kind gives no gradients where a layer's input needs none, as behind frozen embeddings.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    model.disable_input_require_grads()  # a hook for the reentrant kind, which a loader's worker could not unpickle


def linear_layers(model: nn.Module) -> list[str]:
    """Full names of the linear layers (GPT-2 calls its own Conv1D)."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]


def add_lora(model: PreTrainedModel, lora: LoRA, name: str) -> None:
    """Puts LoRA beside the targets, and freezes the rest. Raises InputError where a target names no linear layer."""
    from peft import LoraConfig, inject_adapter_in_model

    found = linear_layers(model)
    targets = found
    if lora.targets != "auto":
        asked = [lora.targets] if isinstance(lora.targets, str) else list(lora.targets)
        ends = sorted({layer.rsplit(".", 1)[-1] for layer in found})
        for target in asked:
            if not any(f".{layer}".endswith(f".{target}") for layer in found):
                raise InputError(
                    f"backbone.lora.targets: {name!r} has no linear layer {target!r}; expected auto, or some of "
                    f"{', '.join(ends)}{nearest(target, ends)}"
                )
        targets = [layer for layer in found if any(f".{layer}".endswith(f".{target}") for target in asked)]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=2 * lora.rank if lora.alpha is None else lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        fan_in_fan_out=isinstance(model.get_submodule(targets[0]), Conv1D),
    )
    inject_adapter_in_model(config, model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in float32 whose linear layers hold what LoRA learnt: a plain model of transformers."""
    model = copy.deepcopy(model).float()
    for name, module in list(model.named_modules()):
        if hasattr(module, "get_base_layer") and hasattr(module, "merge"):  # peft's, without importing it
            module.merge()
            model.set_submodule(name, module.get_base_layer())
    return model.requires_grad_(True)


def _one_of(key: str, value: str, options: Sequence[str] | Mapping[str, Any]) -> None:
    if value not in options:
        raise InputError(
            f"backbone.encoder.{key} must be one of {', '.join(options)}, found {value!r}"
            + nearest(str(value), options)
        )
