"""format=hf: a folder for AutoModel and AutoTokenizer of transformers; the reader does the pooling."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.nn import functional as F
from transformers import MODEL_MAPPING, AutoTokenizer, PreTrainedModel

from src.backbones.base import Encoder, pool
from src.backbones.graphcodebert import GraphCodeBERTEncoder
from src.backbones.hub import quiet
from src.backbones.tokens import rebuild_tokenizer, tokenizer_assets
from src.backbones.transformer import TransformerEncoder
from src.deploy.export.parity import Embed
from src.module import CodeSearchModule
from src.utils.errors import InputError


def transformer_of(encoder: Encoder, format: str) -> TransformerEncoder:
    """The encoder as a single model of transformers for plain texts; raises InputError where it is anything else."""
    refuse_data_flow(encoder, format)
    if not isinstance(encoder, TransformerEncoder):
        raise InputError(
            f"format={format} holds a model of transformers, which {type(encoder).__name__} is not; set "
            "format=sentence_transformers or format=onnx, or export a run of minilm, codebert, unixcoder or hf"
        )
    return encoder


def refuse_data_flow(encoder: Encoder, format: str) -> None:
    """Raises InputError for an encoder that reads more than the text's tokens."""
    if isinstance(encoder, GraphCodeBERTEncoder):
        raise InputError(
            f"format={format} cannot hold backbone=graphcodebert, which reads code together with its data flow; export "
            "a run of minilm, codebert, unixcoder or any other backbone of plain text"
        )


def write(module: CodeSearchModule, folder: Path) -> None:
    """Writes the folder; raises InputError for an encoder that is more than one model of transformers."""
    write_model(transformer_of(module.encoder, "hf"), folder)


def write_model(encoder: TransformerEncoder, folder: Path) -> None:
    """Writes model, configuration and tokenizer below `folder`; LoRA is merged, and of T5 only its encoder is written.

    Raises InputError where transformers has no class for the encoder alone of this encoder-decoder.
    """
    model: PreTrainedModel = encoder.merge()
    if not is_whole(encoder):
        encoder_class = getattr(transformers, reader_class(encoder), None)
        if encoder_class is None:
            raise InputError(
                f"transformers has no class for the encoder alone of {encoder.config.model_type}, which this run "
                "trained; set format=onnx"
            )
        weights = model.state_dict()
        model = encoder_class(encoder.config)
        model.get_submodule("encoder").load_state_dict(weights)
    with quiet():
        model.save_pretrained(folder)
    tokenizer = rebuild_tokenizer(
        tokenizer_assets(encoder.tokenizer),
        model_max_length=max(encoder.max_query_tokens, encoder.max_code_tokens),
        padding_side="right",  # as in training: absolute positions count from the left
    )
    tokenizer.save_pretrained(folder)


def reading(module: CodeSearchModule, folder: Path) -> Embed:
    """Embeds with transformers as the model card describes."""
    encoder = transformer_of(module.encoder, "hf")
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
        return F.normalize(embeddings_BD, dim=1) if module.similarity == "cosine" else embeddings_BD

    return embed


def reader_class(encoder: TransformerEncoder) -> str:
    """The class that loads what `write_model` wrote: `T5EncoderModel` and its like for half of an encoder-decoder."""
    if is_whole(encoder):
        return "AutoModel"
    return f"{type(encoder.config).__name__.removesuffix('Config')}EncoderModel"


def is_whole(encoder: TransformerEncoder) -> bool:
    """Whether AutoModel creates the encoder's own class for its configuration, and not a model that contains it."""
    made = MODEL_MAPPING[type(encoder.config)]
    return type(encoder.model) in (made if isinstance(made, tuple) else (made,))


def sides(encoder: TransformerEncoder) -> dict[str, dict[str, Any]]:
    """Prefix and maximum length of queries and codes."""
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


def snippet(module: CodeSearchModule, name: str) -> str:
    """Python for the model card that loads and uses the model."""
    encoder = transformer_of(module.encoder, "hf")
    model = reader_class(encoder)
    cut = f"\n    embeddings = embeddings[:, : {encoder.dimensions}]" if encoder.dimensions else ""
    result = "torch.nn.functional.normalize(embeddings, dim=1)" if module.similarity == "cosine" else "embeddings"
    return f"""\
import torch
from transformers import AutoTokenizer, {model}

tokenizer, model = AutoTokenizer.from_pretrained({name!r}), {model}.from_pretrained({name!r}).eval()


@torch.inference_mode()
def embed(texts, prefix, max_tokens):
    texts = [prefix + text for text in texts]
    batch = tokenizer(texts, max_length=max_tokens, truncation=True, padding=True, return_tensors='pt')
    output = model(**batch)
    {POOLED[encoder.pooling]}{cut}
    return {result}


queries = embed(['read all lines of a file'], {encoder.query_prefix!r}, {encoder.max_query_tokens})
codes = embed(['def f(): ...'], {encoder.code_prefix!r}, {encoder.max_code_tokens})
scores = queries @ codes.T"""
