"""Parts that each architecture of transformers names differently: encoder, dropouts, positions and layers."""

import inspect

from torch import nn
from transformers import MODEL_MAPPING, PretrainedConfig, PreTrainedModel

DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "dropout_rate",
    "attn_pdrop",
    "resid_pdrop",
    "embd_pdrop",
    "embedding_dropout",
    "mlp_dropout",
)


def encoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The encoder of an encoder-decoder (T5, BART); any other model unchanged."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def pooling_layer_argument(config: PretrainedConfig, wanted: bool) -> dict[str, bool]:
    """The model's argument that adds or omits its pooling layer; empty where its class has no such argument.

    An unused pooling layer would be random, and DDP would wait for its gradients.
    """
    model_class = MODEL_MAPPING[type(config)]
    known = not isinstance(model_class, tuple) and "add_pooling_layer" in inspect.signature(model_class).parameters
    return {"add_pooling_layer": wanted} if known else {}


def position_table(model: PreTrainedModel) -> nn.Embedding | None:
    """The learnt embeddings of absolute positions; None for relative or rotary positions."""
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    return table if isinstance(table, nn.Embedding) else None


def max_positions(model: PreTrainedModel) -> int | None:
    """The largest number of tokens that the model has positions for; None for relative positions."""
    table = position_table(model)
    if table is not None:  # RoBERTa counts from padding_idx + 1: 514 rows are 512 positions
        return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    most = getattr(model.config, "max_position_embeddings", None)
    return most if most and most > 0 else None


def layer_stack(model: PreTrainedModel) -> nn.ModuleList | None:
    """The model's list of layers, first to last (`layer`, `layers`, `h` or `block`), found by its length."""
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    return next((found for found in lists if len(found) == model.config.num_hidden_layers), None)


def embedding_modules(model: PreTrainedModel) -> list[nn.Module]:
    """All modules before the layers: the embeddings of words, positions and types, and the module `embeddings`."""
    later = {module for layer in layer_stack(model) or () for module in layer.modules()}
    found = [module for module in model.modules() if isinstance(module, nn.Embedding) and module not in later]
    whole = getattr(model, "embeddings", None)
    return [*found, whole] if isinstance(whole, nn.Module) else [*found]
