"""format=sentence_transformers: a folder for SentenceTransformer(out), its encode_query and encode_document."""

import json
import shutil
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
from src.deploy.export.hf_format import transformer_of, write_model
from src.deploy.export.parity import Embed
from src.module import CodeSearchModule
from src.utils.errors import InputError

FORMAT = "sentence_transformers"
TINY_BAG = Path(__file__).with_name("tiny_bag.py")  # the tiny backbone, of which the library has no module
POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken", "pooler": "cls"}


def write(module: CodeSearchModule, folder: Path) -> None:
    """Writes the model to `folder` in the library's own modules; the tiny backbone adds a module of its own as a file.

    Raises InputError for an encoder that these modules cannot express.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Router

    encoder, cosine = module.encoder, module.similarity == "cosine"
    prompts: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory() as temporary, quiet():
        if isinstance(encoder, TinyEncoder):
            modules: list[nn.Module] = [tiny_bag(encoder)]
        elif isinstance(encoder, TwoTowers):
            query, code = encoder.query, encoder.code
            parts = parts_of(query, Path(temporary, "query")), parts_of(code, Path(temporary, "code"))
            modules = [Router.for_query_document(*parts)]
            prompts = {"query": query.query_prefix, "document": code.code_prefix}
        else:
            modules = parts_of(encoder, Path(temporary, "model"))
            prompts = {"query": encoder.query_prefix, "document": encoder.code_prefix}
        model = SentenceTransformer(
            modules=[*modules, Normalize()] if cosine else modules,
            prompts=prompts,
            similarity_fn_name="cosine" if cosine else "dot",
            device="cpu",
        )
        model.save(str(folder), create_model_card=False)
    if isinstance(encoder, TinyEncoder):
        include_tiny_bag(folder)


def tiny_bag(encoder: TinyEncoder) -> nn.Module:
    """The tiny backbone as a module of the library."""
    from src.deploy.export.tiny_bag import TinyBag

    bag = TinyBag(encoder.embedding_size, encoder.buckets, encoder.max_query_tokens, encoder.max_code_tokens)
    bag.load_state_dict(encoder.state_dict())
    return bag


def include_tiny_bag(folder: Path) -> None:
    """Copies tiny_bag.py, which its reader must allow with trust_remote_code=True, and names it in modules.json."""
    shutil.copyfile(TINY_BAG, folder / TINY_BAG.name)
    listed = folder / "modules.json"
    entries = json.loads(listed.read_text(encoding="utf-8"))
    entries[0]["type"] = "tiny_bag.TinyBag"
    listed.write_text(json.dumps(entries, indent=2), encoding="utf-8")


def parts_of(encoder: Encoder, folder: Path) -> list[Any]:
    """The modules of one encoder: transformer, pooling and the layers after it."""
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    encoder = transformer_of(encoder, FORMAT)
    write_model(encoder, folder)
    lengths = {"query_length": encoder.max_query_tokens, "document_length": encoder.max_code_tokens}
    longest, size = max(lengths.values()), encoder.config.hidden_size
    if len(set(lengths.values())) == 1:
        lengths = {}
    parts = [
        Transformer(str(folder), max_seq_length=longest, **lengths),
        Pooling(size, pooling_mode=POOLINGS[encoder.pooling]),
    ]
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


def reading(module: CodeSearchModule, folder: Path) -> Embed:
    """Embeds with sentence-transformers as the model card describes."""
    from sentence_transformers import SentenceTransformer

    with quiet():
        model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=needs_trust(module.encoder))

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
    return f"""\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({name!r}{trust})
queries = model.encode_query(['read all lines of a file'])
codes = model.encode_document(['def read_lines(file): ...', 'def close(): ...'])
print(model.similarity(queries, codes))"""
