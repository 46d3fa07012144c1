"""format=onnx: the encoder as a graph for onnxruntime, from token ids to the final embedding.

Shape letters: B texts, D embedding size.
"""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from src.backbones.base import Encoder
from src.backbones.tiny import TinyEncoder
from src.backbones.transformer import TransformerEncoder
from src.backbones.two_towers import TwoTowers
from src.deploy.export.hf_format import refuse_data_flow, sides
from src.deploy.export.parity import PROBES, SIDES, Embed, features
from src.module import CodeSearchModule

SETTINGS = "encoder.json"


class Graph(nn.Module):
    """An encoder that takes the tensors of its features as separate arguments."""

    def __init__(self, encoder: Encoder, names: Sequence[str], cosine: bool) -> None:
        super().__init__()
        self.encoder, self.names, self.cosine = encoder, tuple(names), cosine

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        embeddings_BD = self.encoder(dict(zip(self.names, tensors))).float()
        return F.normalize(embeddings_BD, dim=1) if self.cosine else embeddings_BD


def write(module: CodeSearchModule, folder: Path) -> None:
    """Writes model.onnx, or for two towers query.onnx and code.onnx, with their tokenizers and encoder.json.

    Raises InputError for an encoder that reads more than the text's tokens.
    """
    encoder, cosine = module.encoder, module.similarity == "cosine"
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"similarity": module.similarity, "embedding_size": encoder.embedding_size}
    if isinstance(encoder, TwoTowers):
        for side in SIDES:
            tower: Encoder = getattr(encoder, side)
            write_graph(tower, folder / f"{side}.onnx", cosine)
            settings[side] = write_tokenizer(tower, folder / f"{side}_tokenizer.json")[side]
    else:
        write_graph(encoder, folder / "model.onnx", cosine)
        settings |= write_tokenizer(encoder, folder / "tokenizer.json")
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def merged(encoder: Encoder) -> Iterator[None]:
    """Inside, a transformer's model is a float32 copy that has LoRA's matrices in its weights."""
    if not isinstance(encoder, TransformerEncoder):
        yield
        return
    trained, encoder.model = encoder.model, encoder.merge()
    try:
        yield
    finally:
        encoder.model = trained


def write_graph(encoder: Encoder, path: Path, cosine: bool) -> None:
    """Exports one encoder for any number of texts of any length."""
    refuse_data_flow(encoder, "onnx")
    example = encoder.codes(PROBES["code"][:3])
    sizes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    with merged(encoder), quietly(), torch.inference_mode():
        torch.onnx.export(
            Graph(encoder, list(example), cosine).eval().cpu(),
            tuple(example.values()),
            path,
            input_names=list(example),
            output_names=["sentence_embedding"],  # as other exporters call it; `embedding` is a name inside BERT
            dynamic_shapes={"tensors": tuple(sizes for _ in example)},
            opset_version=18,  # onnxruntime has read it since 1.14 (2023)
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def write_tokenizer(encoder: Encoder, path: Path) -> dict[str, Any]:
    """Writes the tokenizer as JSON and returns the settings of each side for encoder.json."""
    if not isinstance(encoder, TransformerEncoder):
        return {side: {} for side in SIDES}
    backend = encoder.tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.save(str(path))
    about = {"pad_id": encoder.tokenizer.pad_token_id, "tokenizer": path.name}
    return {side: {**settings, **about} for side, settings in sides(encoder).items()}


def reading(module: CodeSearchModule, folder: Path) -> Embed:
    """Embeds with onnxruntime; a transformer's texts go through the exported tokenizer, as in the model card."""
    import onnxruntime
    from tokenizers import Tokenizer

    def session(side: str) -> Any:
        path = folder / "model.onnx" if (folder / "model.onnx").is_file() else folder / f"{side}.onnx"
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    sessions = {side: session(side) for side in SIDES}
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}

    def embed(texts: Sequence[str], side: str) -> torch.Tensor:
        own, names = settings[side], [value.name for value in sessions[side].get_inputs()]
        if own:
            tokenizer = Tokenizer.from_file(str(folder / own["tokenizer"]))
            tokenizer.enable_truncation(own["max_tokens"])
            tokenizer.enable_padding(pad_id=own["pad_id"])
            encoded = tokenizer.encode_batch([own["prefix"] + text for text in texts])
            inputs = {name: np.array([getattr(text, columns[name]) for text in encoded]) for name in names}
        else:
            made = features(module, texts, side)
            inputs = {name: made[name].numpy() for name in names}
        return torch.from_numpy(sessions[side].run(None, inputs)[0])

    return embed


@contextmanager
def quietly() -> Iterator[None]:
    """Silences torch's exporter, which reports every step on the terminal, in logs and as warnings."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)


def snippet(module: CodeSearchModule, name: str) -> str:
    """Python for the model card that loads and uses the model from within the folder, whatever its name."""
    if isinstance(module.encoder, TinyEncoder):
        sizes = f"{module.encoder.buckets}, {module.encoder.max_query_tokens}, {module.encoder.max_code_tokens}"
        return f"""\
import onnxruntime

from src.backbones.tiny import TinyEncoder  # the project cuts texts into pieces

pieces = TinyEncoder(1, {sizes})
session = onnxruntime.InferenceSession('model.onnx')
features = pieces.queries(['read all lines of a file'])
queries = session.run(None, {{name: tensor.numpy() for name, tensor in features.items()}})[0]"""
    file = {side: f"{side}.onnx" if isinstance(module.encoder, TwoTowers) else "model.onnx" for side in SIDES}
    return f"""\
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def embed(texts, side, file):
    settings = json.load(open('encoder.json'))[side]
    tokenizer = Tokenizer.from_file(settings['tokenizer'])
    tokenizer.enable_truncation(settings['max_tokens'])
    tokenizer.enable_padding(pad_id=settings['pad_id'])
    encoded = tokenizer.encode_batch([settings['prefix'] + text for text in texts])
    session = onnxruntime.InferenceSession(file)
    columns = {{'input_ids': 'ids', 'attention_mask': 'attention_mask', 'token_type_ids': 'type_ids'}}
    names = [value.name for value in session.get_inputs()]
    inputs = {{name: np.array([getattr(text, columns[name]) for text in encoded]) for name in names}}
    return session.run(None, inputs)[0]


queries = embed(['read all lines of a file'], 'query', {file["query"]!r})
codes = embed(['def read_lines(file): ...', 'def close(): ...'], 'code', {file["code"]!r})
scores = queries @ codes.T"""
