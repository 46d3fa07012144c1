"""What architectures name differently: their encoder, dropouts, positions and layers."""

from __future__ import annotations

import inspect

from torch import nn
from transformers import MODEL_MAPPING, PretrainedConfig, PreTrainedModel

# What architectures call their dropouts.
DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "dropout_rate"),
    *("attn_pdrop", "resid_pdrop", "embd_pdrop", "embedding_dropout", "mlp_dropout"),
)


def encoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The encoder of an encoder-decoder (T5, BART), any other model as it is."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def pooling_layer(config: PretrainedConfig, wanted: bool) -> dict[str, bool]:
    """The model's argument that leaves out a pooling layer, where its class has one.

    A layer that nothing uses would be random, and wait for gradients in DDP.
    """
    model_class = MODEL_MAPPING[type(config)]
    known = not isinstance(model_class, tuple) and "add_pooling_layer" in inspect.signature(model_class).parameters
    return {"add_pooling_layer": wanted} if known else {}


def position_table(model: PreTrainedModel) -> nn.Embedding | None:
    """The learnt embeddings of absolute positions; None where positions are relative or rotary."""
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    return table if isinstance(table, nn.Embedding) else None


def positions(model: PreTrainedModel) -> int | None:
    """The most tokens that the model has positions for; None where positions are relative."""
    table = position_table(model)
    if table is not None:  # RoBERTa counts from padding_idx + 1: 514 rows are 512 positions
        return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    most = getattr(model.config, "max_position_embeddings", None)
    return most if most and most > 0 else None


def layers(model: PreTrainedModel) -> nn.ModuleList | None:
    """The model's stack of layers, first to last: `layer`, `layers`, `h` or `block`, wherever it hangs."""
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    return next((found for found in lists if len(found) == model.config.num_hidden_layers), None)


def embeddings(model: PreTrainedModel) -> list[nn.Module]:
    """What stands before the layers: the tables of words, positions and types, and what `embeddings` holds beside."""
    later = {module for layer in layers(model) or () for module in layer.modules()}
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding) and module not in later]
    return [*tables, *([model.embeddings] if isinstance(getattr(model, "embeddings", None), nn.Module) else [])]
