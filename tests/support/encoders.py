"""One small encoder of each kind, and texts of many lengths for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from src.backbones.base import Encoder
from src.backbones.graphcodebert import GraphCodeBERTEncoder
from src.backbones.tiny import TinyEncoder
from src.backbones.transformer import TransformerEncoder
from src.backbones.two_towers import TwoTowers
from src.backbones.unixcoder import UniXcoderEncoder
from tests.backbones import checkpoints

KINDS = ("tiny", "bert", "roberta", "gpt2", "qwen", "unixcoder", "graphcodebert", "two_towers")
LENGTHS = (3, 9, 2, 31, 9, 1, 23, 5, 17, 2, 9, 4, 13)  # words of 13 texts
CODES = [
    "def f(a):\n" + "".join(f"    b{i} = a + {i}\n" for i in range(length // 3)) + "    return a" for length in LENGTHS
]
WORDS = ("read", "sort", "file", "list", "x") * 9
QUERIES = [" ".join(WORDS[i : i + length]) for i, length in enumerate(LENGTHS)]


def makers(root: Path) -> dict[str, Callable[[], Encoder]]:
    """Kind -> an encoder that is not fitted; checkpoints are written below `root`."""
    roberta, bert = checkpoints.roberta(root / "roberta"), checkpoints.bert(root / "bert")
    gpt2, qwen = checkpoints.gpt2(root / "gpt2"), checkpoints.qwen(root / "qwen")
    unixcoder = checkpoints.roberta(root / "unixcoder", mode="special")
    lengths = (19, 41)
    return {
        "tiny": lambda: TinyEncoder(17, 101, dropout=0.3),
        "bert": lambda: TransformerEncoder(str(bert), "mean", *lengths, dropout=0.3),
        "roberta": lambda: TransformerEncoder(str(roberta), "pooler", *lengths, dropout=0.3),
        "gpt2": lambda: TransformerEncoder(str(gpt2), "last", *lengths, dropout=0.3),
        "qwen": lambda: TransformerEncoder(str(qwen), "last", *lengths, dropout=0.3),
        "unixcoder": lambda: UniXcoderEncoder(str(unixcoder), "mean", *lengths, dropout=0.3),
        "graphcodebert": lambda: GraphCodeBERTEncoder(str(roberta), "python", "pooler", *lengths, 19, dropout=0.3),
        "two_towers": lambda: TwoTowers(
            TransformerEncoder(str(bert), "mean", *lengths), TransformerEncoder(str(qwen), "last", *lengths)
        ),
    }
