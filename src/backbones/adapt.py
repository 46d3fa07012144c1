"""Memory-saving options of fine-tuning: LoRA, frozen layers, gradient checkpointing, attention kernels."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils.import_utils import is_flash_attn_2_available

from src.backbones.architecture import embedding_modules, layer_stack
from src.config.types import Count, Dropout, Effect, Positive, Whole
from src.utils.errors import InputError, nearest


@dataclass(frozen=True)
class LoRA:
    """Small trainable matrices added to frozen linear layers: W x + alpha / rank B A x (Hu et al. 2021, 2106.09685).

    Args:
        rank: rows of A and columns of B; None trains the weights themselves.
        alpha: None is twice the rank, a common choice.
        dropout: of x before A.
        targets: `auto`, every linear layer; or the last parts of their names, such as [query, value].

    Raises InputError: peft is not installed.
    """

    rank: Count | None = None
    alpha: Positive | None = None
    dropout: Dropout = 0.0
    targets: str | Sequence[str] = "auto"

    def __post_init__(self) -> None:
        if self.rank and importlib.util.find_spec("peft") is None:
            raise InputError(f"backbone.lora.rank={self.rank} needs peft, an optional extra: pip install -e '.[lora]'")


@dataclass(frozen=True)
class Adaptation:
    """Which weights of a pretrained model train, and at what cost.

    Args:
        lora: arguments of `LoRA`.
        frozen_layers: the embeddings and this many first layers do not train; 0: everything trains.
        gradient_checkpointing: stores only each layer's input and recomputes the rest: less memory, more time.
        attn_implementation: None leaves the choice to transformers.
        dtype: of the weights that LoRA freezes. Trained weights are always float32, since a step of 1e-6 vanishes in
            bfloat16.

    Raises InputError: a missing package, or two options that exclude each other.
    """

    lora: Annotated[Mapping[str, Any] | None, LoRA] = None
    frozen_layers: Annotated[Whole, Effect.TRAINING] = 0
    gradient_checkpointing: Annotated[bool, Effect.TRAINING] = False
    attn_implementation: Annotated[Literal["sdpa", "eager", "flash_attention_2"] | None, Effect.TRAINING] = None
    dtype: Annotated[Literal["float32", "bfloat16"], Effect.TRAINING] = "float32"

    def __post_init__(self) -> None:
        uses_lora = self._lora.rank is not None
        if self.attn_implementation == "flash_attention_2" and not is_flash_attn_2_available():
            raise InputError(
                "backbone.encoder.attn_implementation=flash_attention_2 needs a CUDA device and the package "
                "flash-attn; set sdpa, which needs neither"
            )
        if self.frozen_layers and uses_lora:
            raise InputError("backbone.lora already freezes every layer: set backbone.encoder.frozen_layers=0")
        if self.dtype != "float32" and not uses_lora:
            raise InputError(
                f"backbone.encoder.dtype={self.dtype} is for frozen weights: also set backbone.lora.rank=16, or use "
                "trainer.precision=bf16-mixed to compute in bfloat16"
            )

    @property
    def _lora(self) -> LoRA:
        return LoRA(**(self.lora or {}))

    def apply(self, model: PreTrainedModel, name: str) -> PreTrainedModel:
        """The model, changed in place; `name` is that of its checkpoint, for messages."""
        nn.Module.to(model, torch.bfloat16 if self.dtype == "bfloat16" else torch.float32)
        if self.frozen_layers:
            freeze_layers(model, self.frozen_layers, name)
        if self._lora.rank is not None:
            add_lora(model, self._lora, name)
        if self.gradient_checkpointing:
            enable_gradient_checkpointing(model, name)
        return model


def freeze_layers(model: PreTrainedModel, first: int, name: str) -> None:
    """Turns off gradients of the embeddings and the `first` layers. Raises InputError where nothing would train."""
    stack = layer_stack(model)
    if stack is None:
        raise InputError(f"backbone.encoder.frozen_layers={first}, but the layers of {name!r} were not found; set 0")
    for module in [*embedding_modules(model), *stack[:first]]:
        module.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"backbone.encoder.frozen_layers={first} leaves nothing of {name!r} to train: set a lower one")


def enable_gradient_checkpointing(model: PreTrainedModel, name: str) -> None:
    """Recomputes layers in the backward pass. Raises InputError where the architecture does not support it."""
    if not model.supports_gradient_checkpointing:
        raise InputError(f"backbone.encoder.gradient_checkpointing: {name!r} does not support it; set false")
    # The reentrant kind gives no gradients where a layer's input needs none, such as after frozen embeddings.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    # Removes a hook for the reentrant kind, which a data loader's worker could not unpickle.
    model.disable_input_require_grads()


def add_lora(model: PreTrainedModel, lora: LoRA, name: str) -> None:
    """Adds LoRA to the targets and freezes the rest. Raises InputError where a target names no linear layer."""
    from peft import LoraConfig, inject_adapter_in_model

    # full names; Conv1D is GPT-2's linear layer
    layers = [path for path, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    asked = [lora.targets] if isinstance(lora.targets, str) else list(lora.targets)
    if asked == ["auto"]:
        asked = layers
    for target in asked:
        if not any(f".{layer}".endswith(f".{target}") for layer in layers):
            ends = sorted({layer.rsplit(".", 1)[-1] for layer in layers})
            raise InputError(
                f"backbone.lora.targets: {name!r} has no linear layer {target!r}; expected auto, or some of "
                f"{', '.join(ends)}{nearest(target, ends)}"
            )
    targets = [layer for layer in layers if f".{layer}".endswith(tuple(f".{target}" for target in asked))]
    assert lora.rank is not None
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=2 * lora.rank if lora.alpha is None else lora.alpha,  # type: ignore[arg-type]  # peft also takes floats
        lora_dropout=lora.dropout,
        target_modules=targets,
        fan_in_fan_out=isinstance(model.get_submodule(targets[0]), Conv1D),
    )
    inject_adapter_in_model(config, model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
