"""format=sentence_transformers: a folder for SentenceTransformer(out), its encode_query and encode_document."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.backbones.base import Encoder
from src.backbones.hub import quiet
from src.backbones.tiny import TinyEncoder
from src.backbones.transformer import TransformerEncoder
from src.backbones.two_towers import TwoTowers
from src.deploy.export import tiny_st_module
from src.deploy.export.hf_format import transformer_of, write_model
from src.deploy.export.parity import Embed
from src.module import CodeSearchModule
from src.utils.errors import InputError

FORMAT = "sentence_transformers"
POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken", "pooler": "cls"}


def write(module: CodeSearchModule, folder: Path) -> None:
    """Writes the model to `folder` in the library's own modules; the tiny backbone adds a module of its own as a file.

    Raises InputError for an encoder that these modules cannot express.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Router

    encoder, cosine = module.encoder, module.similarity == "cosine"
    last = [Normalize()] if cosine else []
    with tempfile.TemporaryDirectory() as temporary, quiet():
        if isinstance(encoder, TinyEncoder):
            tiny_st_module.write(encoder, folder, cosine)
            return
        if isinstance(encoder, TwoTowers):
            towers = {side: encoder.get_submodule(side) for side in ("query", "code")}
            parts = {side: parts_of(tower, Path(temporary, side)) for side, tower in towers.items()}
            modules: list[nn.Module] = [Router.for_query_document(parts["query"], parts["code"]), *last]
        else:
            towers = {"query": encoder, "code": encoder}
            modules = [*parts_of(encoder, Path(temporary, "model")), *last]
        model = SentenceTransformer(
            modules=modules,
            prompts={"query": towers["query"].query_prefix, "document": towers["code"].code_prefix},
            similarity_fn_name="cosine" if cosine else "dot",
            device="cpu",
        )
        model.save(str(folder), create_model_card=False)


def parts_of(encoder: Encoder, folder: Path) -> list[Any]:
    """The modules of one encoder: transformer, pooling and the layers after it."""
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    encoder = transformer_of(encoder, FORMAT)
    write_model(encoder, folder)
    lengths = {"query_length": encoder.max_query_tokens, "document_length": encoder.max_code_tokens}
    longest = max(lengths.values())
    if len(set(lengths.values())) == 1:
        lengths = {}
    parts = [Transformer(str(folder), max_seq_length=longest, **lengths)]
    size = encoder.config.hidden_size
    parts.append(Pooling(size, pooling_mode=POOLINGS[encoder.pooling]))
    if encoder.pooling == "pooler":
        parts.append(pooling_layer(encoder, size))
    if encoder.dimensions:
        # truncate_dim of SentenceTransformer cuts after normalising, whereas this model was trained with a cut before.
        first = torch.eye(size)[: encoder.dimensions].clone()
        parts.append(Dense(size, encoder.dimensions, bias=False, activation_function=nn.Identity(), init_weight=first))
    return parts


def pooling_layer(encoder: TransformerEncoder, size: int) -> Any:
    """The layer on the first token of BERT and RoBERTa as a `Dense`."""
    from sentence_transformers.sentence_transformer.modules import Dense

    pooler = encoder.merge().pooler
    dense, activation = getattr(pooler, "dense", None), getattr(pooler, "activation", None)
    if not isinstance(dense, nn.Linear) or not isinstance(activation, nn.Tanh):
        raise InputError(f"format={FORMAT} cannot hold the pooling layer of {type(pooler).__name__}; set format=onnx")
    weight, bias = dense.weight.detach(), dense.bias.detach()
    return Dense(size, size, activation_function=nn.Tanh(), init_weight=weight, init_bias=bias)


def reading(folder: Path, trust: bool = False) -> Embed:
    """Embeds with sentence-transformers as the model card describes."""
    from sentence_transformers import SentenceTransformer

    with quiet():
        model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=trust)

    def embed(texts: Sequence[str], side: str) -> torch.Tensor:
        encode = model.encode_query if side == "query" else model.encode_document
        return encode(list(texts), convert_to_tensor=True, show_progress_bar=False)

    return embed


def needs_trust(encoder: Encoder) -> bool:
    """Whether the folder holds a python file, which its reader must allow with trust_remote_code=True."""
    return isinstance(encoder, TinyEncoder)


def snippet(module: CodeSearchModule, name: str) -> str:
    """Python for the model card that loads and uses the model."""
    trust = ", trust_remote_code=True" if needs_trust(module.encoder) else ""
    return "\n".join(
        [
            "from sentence_transformers import SentenceTransformer",
            "",
            f"model = SentenceTransformer({name!r}{trust})",
            "queries = model.encode_query(['read all lines of a file'])",
            "codes = model.encode_document(['def read_lines(file): ...', 'def close(): ...'])",
            "print(model.similarity(queries, codes))",
        ]
    )
