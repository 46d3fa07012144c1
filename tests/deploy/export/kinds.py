"""Models with random weights, one of each kind that an export treats differently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from src.backbones.graphcodebert import GraphCodeBERTEncoder
from src.backbones.tiny import TinyEncoder
from src.backbones.transformer import TransformerEncoder
from src.backbones.two_towers import TwoTowers
from src.backbones.unixcoder import UniXcoderEncoder
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule
from tests.backbones import checkpoints

END = "<|endoftext|>"


def written(make: Callable[..., Path], folder: Path, **options) -> str:
    """The checkpoint, made on first use."""
    return str(folder if folder.is_dir() else make(folder, **options))


def bert(root: Path, *arguments, **options) -> TransformerEncoder:
    return TransformerEncoder(written(checkpoints.bert, root / "bert"), *arguments, **options)


def makers(root: Path) -> dict[str, Callable[[], CodeSearchModule]]:
    """Kind -> a model that is ready to embed; checkpoints are written below `root`."""

    def roberta(kind=TransformerEncoder, *arguments, **options):
        return kind(written(checkpoints.roberta, root / "roberta", mode="special"), *arguments, **options)

    def adapted():
        encoder = bert(root, "mean", 19, 41, lora={"rank": 2, "targets": ["query", "dense"]})
        encoder.fit(())
        for name, value in encoder.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.5)
        return encoder

    def towers():
        return TwoTowers(bert(root, "mean", 19, 41, query_prefix="ask: "), bert(root, "cls", 17, 37))

    made = {
        "bert": lambda: (bert(root, "mean", 19, 41, query_prefix="ask: ", code_prefix="code: "), "cosine"),
        "first dimensions": lambda: (bert(root, "cls", 41, 41, dimensions=7), "cosine"),
        "lora": lambda: (adapted(), "dot"),
        "roberta": lambda: (roberta(TransformerEncoder, "pooler", 23, 47), "dot"),
        "unixcoder": lambda: (roberta(UniXcoderEncoder, "mean", 23, 47), "cosine"),
        "gpt2": lambda: (TransformerEncoder(written(checkpoints.gpt2, root / "gpt2"), "last", 23, 47), "cosine"),
        "qwen": lambda: (
            TransformerEncoder(
                *(written(checkpoints.qwen, root / "qwen", version=2, ends=False), "last", 23, 47), end_token=END
            ),
            "cosine",
        ),
        "t5": lambda: (TransformerEncoder(written(checkpoints.t5, root / "t5"), "mean", 23, 47), "cosine"),
        "modernbert": lambda: (
            TransformerEncoder(written(checkpoints.modernbert, root / "modernbert"), "cls", 23, 47),
            "dot",
        ),
        "tiny": lambda: (TinyEncoder(17, 101, 5, 13, dropout=0.3), "cosine"),
        "two_towers": lambda: (towers(), "cosine"),
        "graphcodebert": lambda: (roberta(GraphCodeBERTEncoder, "python", "pooler", 23, 37, 19), "dot"),
    }

    def module(kind: str) -> CodeSearchModule:
        torch.manual_seed(0)
        encoder, similarity = made[kind]()
        encoder.fit(())
        if kind == "tiny":
            for value in encoder.parameters():
                torch.nn.init.normal_(value)
        return CodeSearchModule(encoder, InfoNCE(), similarity).eval()

    return {kind: (lambda kind=kind: module(kind)) for kind in made}
