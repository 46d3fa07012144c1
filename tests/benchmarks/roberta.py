"""A small RoBERTa with random weights and a byte-level BPE of a corpus, as a folder that backbone.name= takes.

python -m tests.benchmarks.roberta FOLDER corpus=codesearchnet corpus.root=DIR lang=python
python -m src.train backbone=graphcodebert backbone.name=FOLDER corpus=codesearchnet corpus.root=DIR lang=python

Shaped as microsoft/graphcodebert-base and codebert-base (special tokens, 514 positions, pooler), two layers of 128: it
shows that a recipe runs and what a part of it does, not what a pretrained model reaches.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from hydra.utils import instantiate
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import RobertaConfig, RobertaModel

from src.config.compose import compose_config
from src.corpora.base import Corpus, Pair

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # in RoBERTa's order: <pad> is 1
VOCABULARY = 8192


def write(folder: Path, pairs: list[Pair]) -> None:
    """Tokenizer and model, learnt from and made for these pairs."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator((text for pair in pairs for text in (pair.query, pair.code)), trainer)
    folder.mkdir(parents=True)
    tokenizer.model.save(str(folder))
    settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.1,  # of a narrow model: with 0.02 all embeddings start alike
    )
    RobertaModel(config).save_pretrained(folder)


if __name__ == "__main__":
    corpus: Corpus = instantiate(compose_config("train", sys.argv[2:]).corpus)
    write(Path(sys.argv[1]), list(corpus.split("train").pairs))
