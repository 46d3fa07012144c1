"""format=hf: a folder that AutoModel and AutoTokenizer of transformers read; pooling is the reader's to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.nn import functional as F
from transformers import MODEL_MAPPING, AutoTokenizer, PreTrainedModel

from src.backbones.base import Encoder
from src.backbones.graphcodebert import GraphCodeBERTEncoder
from src.backbones.hub import quiet
from src.backbones.pooling import pool
from src.backbones.tokens import rebuild_tokenizer, tokenizer_assets
from src.backbones.transformer import TransformerEncoder
from src.deploy.export.parity import Embed
from src.utils.errors import InputError


def transformer_of(encoder: Encoder, format: str) -> TransformerEncoder:
    """The encoder, where it is one model of transformers on one text; raises InputError where it is not."""
    if isinstance(encoder, GraphCodeBERTEncoder):
        raise InputError(
            f"format={format} cannot hold backbone=graphcodebert, which reads code together with its data flow; export "
            "a run of minilm, codebert, unixcoder or any other backbone of plain text"
        )
    if not isinstance(encoder, TransformerEncoder):
        raise InputError(
            f"format={format} holds a model of transformers, which {type(encoder).__name__} is not; set "
            "format=sentence_transformers or format=onnx, or export a run of minilm, codebert, unixcoder or hf"
        )
    return encoder


def write_model(encoder: TransformerEncoder, folder: Path) -> None:
    """Model, configuration and tokenizer below `folder`; LoRA is merged.

    Raises InputError where transformers has no class for the encoder of this encoder-decoder alone.
    """
    model = standing_alone(encoder)
    with quiet():
        model.save_pretrained(folder)
    tokenizer = rebuild_tokenizer(
        tokenizer_assets(encoder.tokenizer),
        model_max_length=max(encoder.max_query_tokens, encoder.max_code_tokens),
        padding_side="right",  # as here; absolute positions count from the left
    )
    tokenizer.save_pretrained(folder)


def standing_alone(encoder: TransformerEncoder) -> PreTrainedModel:
    """The merged model as something that `from_pretrained` reads again: of T5, the class of its encoder."""
    model = encoder.merge().eval()
    if is_whole(encoder):
        return model
    alone = getattr(transformers, reader_class(encoder), None)
    if alone is None:
        raise InputError(
            f"transformers has no class for the encoder of {encoder.config.model_type} alone, which is what this run "
            "trained; set format=onnx"
        )
    made = alone(encoder.config)
    made.encoder.load_state_dict(model.state_dict())
    return made.eval()


def reading(folder: Path, encoder: TransformerEncoder, cosine: bool) -> Embed:
    """What a user of transformers does with the folder: the recipe of the card, as code."""
    with quiet():
        model = getattr(transformers, reader_class(encoder)).from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def embed(texts: Sequence[str], side: str) -> torch.Tensor:
        settings = sides(encoder)[side]
        batch = tokenizer(
            [settings["prefix"] + text for text in texts],
            max_length=settings["max_tokens"],
            truncation=True,
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            output = model(**batch)
            if encoder.pooling == "pooler":
                embeddings_BD = output.pooler_output
            else:
                embeddings_BD = pool(output.last_hidden_state, batch["attention_mask"], encoder.pooling)
        embeddings_BD = embeddings_BD[:, : encoder.dimensions]
        return F.normalize(embeddings_BD, dim=1) if cosine else embeddings_BD

    return embed


def reader_class(encoder: TransformerEncoder) -> str:
    """The class that reads what `write_model` wrote: of an encoder out of an encoder-decoder, that of T5's family."""
    if is_whole(encoder):
        return "AutoModel"
    return f"{type(encoder.config).__name__.removesuffix('Config')}EncoderModel"


def is_whole(encoder: TransformerEncoder) -> bool:
    """Whether AutoModel makes the encoder's own class of its configuration, not something that it is a part of."""
    made = MODEL_MAPPING[type(encoder.config)]
    return type(encoder.model) in (made if isinstance(made, tuple) else (made,))


def sides(encoder: TransformerEncoder) -> dict[str, dict[str, Any]]:
    """Prefix and most tokens of queries and codes."""
    return {
        "query": {"prefix": encoder.query_prefix, "max_tokens": encoder.max_query_tokens},
        "code": {"prefix": encoder.code_prefix, "max_tokens": encoder.max_code_tokens},
    }


POOLED = {
    "mean": "mask = batch['attention_mask'].unsqueeze(-1)\n"
    "    embeddings = (output.last_hidden_state * mask).sum(1) / mask.sum(1)",
    "cls": "embeddings = output.last_hidden_state[:, 0]",
    "last": "last = batch['attention_mask'].sum(1) - 1\n"
    "    embeddings = output.last_hidden_state[torch.arange(len(last)), last]",
    "pooler": "embeddings = output.pooler_output",
}


def snippet(encoder: TransformerEncoder, cosine: bool, name: str) -> str:
    """How to load it, for the card: python that runs as it stands."""
    model = reader_class(encoder)
    lines = [
        "import torch",
        f"from transformers import AutoTokenizer, {model}",
        "",
        f"tokenizer, model = AutoTokenizer.from_pretrained({name!r}), {model}.from_pretrained({name!r}).eval()",
        "",
        "",
        "@torch.inference_mode()",
        "def embed(texts, prefix, max_tokens):",
        "    texts = [prefix + text for text in texts]",
        "    batch = tokenizer(texts, max_length=max_tokens, truncation=True, padding=True, return_tensors='pt')",
        "    output = model(**batch)",
        f"    {POOLED[encoder.pooling]}",
    ]
    if encoder.dimensions:
        lines.append(f"    embeddings = embeddings[:, : {encoder.dimensions}]")
    result = "torch.nn.functional.normalize(embeddings, dim=1)" if cosine else "embeddings"
    lines += [f"    return {result}", "", ""]
    for side, texts, text in (("query", "queries", "read all lines of a file"), ("code", "codes", "def f(): ...")):
        settings = sides(encoder)[side]
        lines.append(f"{texts} = embed([{text!r}], {settings['prefix']!r}, {settings['max_tokens']})")
    lines.append("scores = queries @ codes.T")
    return "\n".join(lines)
