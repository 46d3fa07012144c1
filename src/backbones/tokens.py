"""Pretrained tokenizers: checks, padding and end tokens, truncation, and how checkpoints store them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers
from tokenizers import Encoding, Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from src.corpora.base import fingerprint
from src.utils.errors import InputError


def prepare_tokenizer(tokenizer: PreTrainedTokenizerFast, name: str, end_token: str | None) -> PreTrainedTokenizerFast:
    """The tokenizer, changed in place; `name` is that of its checkpoint, for messages.

    Raises InputError: it is no fast tokenizer, has no token to pad with, or cannot end texts with `end_token`.
    """
    if not tokenizer.is_fast:
        raise InputError(f"backbone.name={name!r} has no fast tokenizer; add its tokenizer.json")
    if tokenizer.pad_token is None:  # GPT and Qwen were trained without padding; the mask hides this one
        if tokenizer.eos_token is None:
            raise InputError(f"backbone.name={name!r} has a tokenizer with neither a pad nor an eos token")
        tokenizer.pad_token = tokenizer.eos_token
    if end_token is None:
        return tokenizer
    id_ = tokenizer.get_vocab().get(end_token)
    if id_ is None:
        raise InputError(
            f"backbone.encoder.end_token={end_token!r}, but the tokenizer of {name!r} does not know it as one token; "
            "set it to a token of its vocabulary, or to null"
        )
    added = tokenizer("")["input_ids"]
    if added and added[-1] != id_:
        raise InputError(
            f"backbone.encoder.end_token={end_token!r}, but the tokenizer of {name!r} ends texts with "
            f"{tokenizer.convert_ids_to_tokens(added[-1])!r}; set backbone.encoder.end_token=null"
        )
    if not added:  # truncation never removes the tokens of a template
        template = TemplateProcessing(single=["$A", end_token], special_tokens=[(end_token, id_)])
        tokenizer.backend_tokenizer.post_processor = template
    return tokenizer


def replace_surrogates(text: str) -> str:
    """Lone surrogates, which JSON can hold and tokenizers refuse, become "?"."""
    return text.encode("utf-8", "replace").decode()


def encode(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int, specials: bool = True
) -> list[Encoding]:
    """Texts truncated to `max_tokens`, with or without special tokens; the backend itself is fastest: no offsets."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_tokens, direction=tokenizer.truncation_side)
    return backend.encode_batch_fast(texts, add_special_tokens=specials)


def tokenizer_identity(tokenizer: PreTrainedTokenizerFast) -> str:
    """12 hex digits over everything that decides the ids of a text."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()  # set by the last batch
    settings = (tokenizer.truncation_side, tokenizer.pad_token, *tokenizer.model_input_names)
    return fingerprint([backend.to_str(), *map(str, settings), tokenizers.__version__])


def tokenizer_assets(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Its own JSON, special tokens and settings: plain values, enough to rebuild it anywhere."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend["truncation"] = backend["padding"] = None  # set by the last batch
    special = {role: str(token) for role, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return {
        "tokenizer": json.dumps(backend),
        "tokenizer_arguments": {
            **special,
            "model_max_length": tokenizer.model_max_length,
            "truncation_side": tokenizer.truncation_side,
            "model_input_names": list(tokenizer.model_input_names),
        },
    }


def rebuild_tokenizer(assets: Mapping[str, Any], **others: Any) -> PreTrainedTokenizerFast:
    """The tokenizer of `tokenizer_assets()`; `others` replace some of its settings.

    It has the general class: a model's own tokenizer class would rebuild its template, without our changes to it.
    """
    arguments = {**assets["tokenizer_arguments"], **others}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(assets["tokenizer"]), **arguments)
