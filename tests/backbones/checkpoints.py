"""Tiny checkpoints with random weights, laid out on disk as the published ones are: real files, no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    GPT2Config,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Tokenizer,
    Qwen3Config,
    RobertaConfig,
    T5Config,
)

HIDDEN, LAYERS, HEADS = 32, 2, 4

# Distinct lengths, a cut one among them, and what breaks tokenisers: an empty text, a special token as text, other
# scripts, an emoji.
TEXTS = [
    "read a file",
    "def read_file(path):\n    with open(path) as file:\n        return file.read()",
    "",
    "sort<mask>the list</s>in place",
    "naïve Größe 數據 🙂",
]

_CORPUS = [
    *TEXTS,
    *(f"def {verb}_{noun}({noun}): return {verb}({noun})" for verb in ("sort", "read") for noun in ("x", "y")),
]
_BPE_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # in RoBERTa's order, which makes <pad> id 1
_WORDPIECE_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def roberta(folder: Path, architecture: str = "RobertaModel", mode: str | None = None, rows: int = 66) -> Path:
    """As microsoft/codebert-base: vocab.json and merges.txt; `rows` of positions hold rows - 2 tokens.

    `mode`: None leaves `<encoder-only>` out; `vocabulary` has it as a plain entry; `special` declares it too.
    """
    vocabulary = _byte_bpe(folder, [*_BPE_TOKENS, *(["<encoder-only>"] if mode else [])])
    extra = {"additional_special_tokens": ["<encoder-only>"]} if mode == "special" else {}
    _write_tokenizer_config(folder, "RobertaTokenizer", **extra)
    config = RobertaConfig(
        **_sizes(vocabulary),
        max_position_embeddings=rows,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        type_vocab_size=1,
    )
    return _save(folder, config, architecture)


def bert(folder: Path, architecture: str = "BertModel") -> Path:
    """As sentence-transformers/all-MiniLM-L6-v2: vocab.txt, lower case, token types, 64 positions."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=_WORDPIECE_TOKENS, show_progress=False)
    tokenizer.train_from_iterator([text.lower() for text in _CORPUS], trainer)
    folder.mkdir()
    tokenizer.model.save(str(folder))
    _write_tokenizer_config(folder, "BertTokenizer", do_lower_case=True)
    return _save(folder, BertConfig(**_sizes(tokenizer.get_vocab_size()), max_position_embeddings=64), architecture)


def gpt2(folder: Path, **tokenizer_settings: Any) -> Path:
    """A causal model whose tokenizer has no pad token and adds no special tokens; 64 positions."""
    vocabulary = _byte_bpe(folder, ["<|endoftext|>"])
    _write_tokenizer_config(folder, "GPT2Tokenizer", **tokenizer_settings)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_embd=HIDDEN,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _save(folder, config, "GPT2Model")


def t5(folder: Path) -> Path:
    """As Salesforce/codet5-base: an encoder-decoder with RoBERTa's tokenizer."""
    vocabulary = _byte_bpe(folder, _BPE_TOKENS)
    _write_tokenizer_config(folder, "RobertaTokenizer")
    config = T5Config(
        vocab_size=vocabulary, d_model=HIDDEN, d_kv=8, d_ff=37, num_layers=LAYERS, num_heads=HEADS, pad_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    return _save(folder, config, "T5ForConditionalGeneration")


def modernbert(folder: Path) -> Path:
    """As Alibaba-NLP/gte-modernbert-base: [CLS] text [SEP], rotary positions, layers that see 8 tokens around."""
    vocabulary = _byte_bpe(folder, _WORDPIECE_TOKENS)
    backend = _template(folder, "[CLS] $A [SEP]")
    roles = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **roles).save_pretrained(folder)
    config = ModernBertConfig(
        **_sizes(vocabulary), local_attention=8, max_position_embeddings=8192, pad_token_id=0, cls_token_id=2,
        sep_token_id=3, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    return _save(folder, config, "ModernBertModel")


def qwen(folder: Path, version: int = 3, ends: bool = True) -> Path:
    """As Qwen/Qwen3-Embedding-0.6B: the template appends <|endoftext|>, which also pads; `ends=False`: as Qwen2."""
    vocabulary = _byte_bpe(folder, ["<|endoftext|>", "<|im_end|>"])
    tokenizer = Qwen2Tokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), pad_token="<|endoftext|>",
        eos_token="<|im_end|>", unk_token="<|endoftext|>",
    )  # fmt: skip
    if ends:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
        )
    tokenizer.save_pretrained(folder)
    config = (Qwen3Config if version == 3 else Qwen2Config)(
        **_sizes(vocabulary), num_key_value_heads=2, max_position_embeddings=32768, eos_token_id=1, bos_token_id=0,
        **({"head_dim": 16} if version == 3 else {}),
    )  # fmt: skip
    return _save(folder, config, f"Qwen{version}Model")


def _template(folder: Path, single: str) -> Tokenizer:
    """The byte-level tokenizer of `folder` with a template."""
    backend = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    names = [token for token in single.split() if not token.startswith("$")]
    special = [(token, backend.token_to_id(token)) for token in names]
    backend.post_processor = TemplateProcessing(single=single, special_tokens=special)
    return backend


def _byte_bpe(folder: Path, special_tokens: list[str]) -> int:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    folder.mkdir()
    tokenizer.model.save(str(folder))
    return tokenizer.get_vocab_size()


def _write_tokenizer_config(folder: Path, tokenizer_class: str, **settings: Any) -> None:
    settings = {"tokenizer_class": tokenizer_class, "model_max_length": 512, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _sizes(vocabulary: int) -> dict[str, int]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 37,
    }


def _save(folder: Path, config: PretrainedConfig, architecture: str) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model: PreTrainedModel = getattr(transformers, architecture)(config)
        # The usual initialisation (0.02, zero biases) leaves all embeddings alike and would hide a wrong token.
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder
