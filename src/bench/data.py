"""What the benchmarks run on: the functions of CPython's library, and an encoder of MiniLM's size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel

from src.backbones.hub import quiet
from src.corpora.base import Pair
from src.corpora.stdlib import StdlibCorpus

VOCABULARY = 30_522  # at most
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
QUERY_TOKENS, CODE_TOKENS = 128, 256


@dataclass(frozen=True)
class BenchData:
    """The documented functions of CPython's standard library, and a folder with an encoder."""

    pairs: Sequence[Pair]
    model: Path
    about: str  # the model, in words

    def batch(self, size: int, round_: int = 0) -> list[Pair]:
        """The next `size` pairs in each round, from the start again after the last."""
        first = round_ * size
        return [self.pairs[i % len(self.pairs)] for i in range(first, first + size)]


def prepare_data(model: str | None, folder: Path, shape: Mapping[str, int] = MINILM) -> BenchData:
    """The pairs and the encoder `model`; None: a random one of this shape, saved in `folder`."""
    pairs = list(StdlibCorpus().split("train").pairs)
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
    pairs = [pairs[i] for i in order]
    if model:
        return BenchData(pairs, Path(model), f"the encoder in {Path(model).name}")
    write_model(folder, pairs, shape)
    return BenchData(pairs, folder, "an encoder of MiniLM's size (6 layers of 384) with random weights")


def write_model(folder: Path, pairs: Sequence[Pair], shape: Mapping[str, int]) -> None:
    """Saves a BERT with random weights whose word pieces are learnt from the pairs."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator((text for pair in pairs for text in (pair.query, pair.code)), trainer)
    ends = [("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", SPECIAL.index("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 512, **shape}
    with quiet():
        BertModel(BertConfig(**sizes)).save_pretrained(folder)
