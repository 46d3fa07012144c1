"""Pretrained transformers as encoders: any checkpoint that `AutoModel` and a fast tokenizer can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from src.backbones.adapt import Adaptation, merged, too_many
from src.backbones.architecture import DROPOUTS, encoder_of, pooling_layer, positions
from src.backbones.base import Encoder, Features
from src.backbones.hub import checkpoint_folder, quiet, refuse_remote_code
from src.backbones.pooling import POOLINGS, pool
from src.backbones.tokens import encode, prepared, readable, rebuilt, tokenizer_assets, tokenizer_identity
from src.config.types import Count, Share
from src.corpora.base import Pair, fingerprint
from src.utils.disk_cache import sha256
from src.utils.errors import InputError, UserError, first_line, nearest
from src.utils.ragged import Ragged, within

FILES = {".json", ".txt", ".model", ".safetensors", ".bin"}  # of a checkpoint's folder, what decides its embeddings


class TransformerEncoder(Encoder):
    """A pretrained transformer with one pooled embedding per text.

    The constructor reads nothing. Tokenizer and configuration are read when they are first needed; the weights by
    `fit`, or rebuilt by `load_assets` without the folder, the hub or the network. Weights are held in float32, whatever
    the checkpoint's type, but for those that LoRA freezes (see `Adaptation`).

    Args:
        name: a folder written by `save_pretrained`, or a hub name. The hub is asked once, without retries; files
            already in its cache serve when it does not answer.
        pooling: `mean`, `cls` (first token), `last` (last token, for causal models) or `pooler` (the layer that BERT
            and RoBERTa put on the first token; the checkpoint must hold its weights).
        max_query_tokens: longer queries are cut; special tokens count.
        max_code_tokens: the same for codes.
        query_prefix: text put before every query, such as the instruction that a model was trained with.
        code_prefix: the same for codes.
        dropout: of every dropout that the checkpoint's configuration names; None leaves them as they are.
        dimensions: the embedding's first so many, of a model trained for it (Kusupati et al. 2022, 2205.13147); None
            keeps all.
        end_token: the token that every text must end with, cut or not, where pooling relies on it; it is added where
            the tokenizer's own template does not. None leaves the template as it is.
        adaptation: what trains, and what it costs: arguments of `Adaptation`.

    Of an encoder-decoder (T5, BART) the encoder alone is used. Code that comes with a checkpoint is never run.

    Raises:
        InputError: no name, unknown pooling; on first use: a checkpoint that cannot be read, lacks weights or brings
            code of its own, more tokens than the model has positions, fewer than its special tokens, more dimensions
            than the model's.
    """

    def __init__(
        self,
        name: str | None,
        pooling: str = "mean",
        max_query_tokens: Count = 128,
        max_code_tokens: Count = 256,
        query_prefix: str = "",
        code_prefix: str = "",
        dropout: Share | None = None,
        dimensions: Count | None = None,
        end_token: str | None = None,
        **adaptation: Annotated[Any, Adaptation],
    ) -> None:
        super().__init__()
        if not name:
            raise InputError("backbone=hf needs backbone.name=HUB_NAME_OR_FOLDER")
        if pooling not in POOLINGS:
            raise InputError(
                f"backbone.pooling must be one of {', '.join(POOLINGS)}, found {pooling!r}" + nearest(pooling, POOLINGS)
            )
        self.name = name
        self.pooling = pooling
        self.max_query_tokens = max_query_tokens
        self.max_code_tokens = max_code_tokens
        self.query_prefix = query_prefix
        self.code_prefix = code_prefix
        self.dropout = dropout
        if dimensions is not None and dimensions < 1:
            raise InputError(f"backbone.encoder.dimensions must be 1 or more, or null for all, found {dimensions}")
        self.dimensions = dimensions
        self.end_token = end_token
        self.adaptation = Adaptation(**adaptation)
        self.register_module("model", None)

    # Texts to features

    tokenises_in_threads = True

    def _prefix_and_length(self, side: str) -> tuple[str, int]:
        return {
            "query": (self.query_prefix, self.max_query_tokens),
            "code": (self.code_prefix, self.max_code_tokens),
        }[side]

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """`input_ids` and, where the tokenizer gives them, `token_type_ids`."""
        (prefix, max_tokens), tokenizer = self._prefix_and_length(side), self.tokenizer
        # A text without any token has no embedding: where the tokenizer adds no special token, an empty text gets one.
        empty = "" if tokenizer.num_special_tokens_to_add() else tokenizer.pad_token
        encoded = encode(tokenizer, [readable(prefix + text) or empty for text in texts], max_tokens)
        columns = {"input_ids": [text.ids for text in encoded]}
        if "token_type_ids" in tokenizer.model_input_names:
            columns["token_type_ids"] = [text.type_ids for text in encoded]
        return Ragged.of(columns)

    def tokenising(self, side: str) -> Mapping[str, Any]:
        """The tokenizer as a hash, the side's prefix and length."""
        return {"tokenizer": tokenizer_identity(self.tokenizer), "prefix and length": self._prefix_and_length(side)}

    def features(self, items: Ragged) -> Features:
        """int64 (B, L) `input_ids`, `attention_mask` and, where the tokenizer gives them, `token_type_ids`."""
        ids_BL = items.padded("input_ids", self.tokenizer.pad_token_id)
        mask_BL = torch.from_numpy(within(items.lengths("input_ids"), ids_BL.shape[1])).long()
        features = {"input_ids": ids_BL, "attention_mask": mask_BL}
        if "token_type_ids" in items:
            features["token_type_ids"] = items.padded("token_type_ids", self.tokenizer.pad_token_type_id)
        return features

    # Features to embeddings

    @property
    def embedding_size(self) -> int:  # type: ignore[override]
        return self.dimensions or self.config.hidden_size

    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD."""
        if self.model is None:
            raise RuntimeError("the encoder has no weights yet: call fit(pairs) or load_assets(assets) first")
        outputs = self.model(**features)
        if self.pooling == "pooler":
            return outputs.pooler_output[:, : self.dimensions]
        return pool(outputs.last_hidden_state, features["attention_mask"], self.pooling)[:, : self.dimensions]

    # What is read from the checkpoint

    def check(self) -> None:
        """The checkpoint is there, with a configuration that fits the keys; from the hub it is downloaded now."""
        most = getattr(self.config, "num_hidden_layers", None)
        if most is not None and self.adaptation.frozen_layers > most:
            raise InputError(too_many(self.adaptation.frozen_layers, self.name, most))

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Reads the pretrained weights, once; `pairs` are not looked at."""
        if self.model is None:
            self.model = self._checked(self._read(self._read_model))

    @cached_property
    def config(self) -> PretrainedConfig:
        """The model's configuration."""
        config = self._read(lambda folder: AutoConfig.from_pretrained(folder, trust_remote_code=False))
        config.use_cache = False  # keys and values are for generating text
        return self._suited(config)

    def _suited(self, config: PretrainedConfig) -> PretrainedConfig:
        """With this encoder's dropout, after it is sure that the model has its dimensions."""
        if self.dimensions is not None and self.dimensions > config.hidden_size:
            raise InputError(
                f"backbone.encoder.dimensions={self.dimensions}, but the embeddings of {self.name!r} have "
                f"{config.hidden_size}; set at most that, or null for all"
            )
        if self.dropout is None:
            return config
        named = [name for name in DROPOUTS if hasattr(config, name)]
        if not named:
            raise InputError(
                f"backbone.encoder.dropout={self.dropout}: {self.name!r} names none of {', '.join(DROPOUTS)} in its "
                "configuration; set backbone.encoder.dropout=null"
            )
        for name in named:
            setattr(config, name, self.dropout)
        return config

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The model's tokenizer."""
        return self._prepared(self._read(lambda folder: AutoTokenizer.from_pretrained(folder, trust_remote_code=False)))

    @cached_property
    def _folder(self) -> str:
        folder = checkpoint_folder(self.name)
        refuse_remote_code(folder, self.name)
        return folder

    def _read(self, read: Callable[[str], Any]) -> Any:
        """read(folder) without chatter; whatever it raises becomes one line."""
        folder = self._folder
        try:
            with quiet():
                return read(folder)
        except UserError:
            raise
        except Exception as error:  # transformers raises anything from OSError to KeyError over a broken checkpoint
            raise InputError(
                f"backbone.name={self.name!r} is not a checkpoint that transformers can read "
                f"({first_line(error)[:300]}); set it to a folder written by save_pretrained (model and fast "
                "tokenizer) or to another hub name"
            ) from error

    def _prepared(self, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
        return prepared(tokenizer, self.name, self.end_token)

    def _read_model(self, folder: str) -> PreTrainedModel:
        whole, report = AutoModel.from_pretrained(
            folder, config=self.config, trust_remote_code=False, output_loading_info=True, **self._model_arguments()
        )
        model = encoder_of(whole)
        pooled = self.pooling == "pooler"
        used = {id(value) for name, value in model.named_parameters() if pooled or not name.startswith("pooler.")}
        # transformers draws what is missing at random, with a warning at most; its version 4 names it with a prefix
        absent = {name.removeprefix(f"{whole.base_model_prefix}.") for name in report["missing_keys"]}
        parameters = whole.named_parameters(remove_duplicate=False)
        missing = [name for name, value in parameters if id(value) in used and name in absent]
        if missing and all("pooler" in name for name in missing):
            raise InputError(self._no_pooler())
        if missing:
            raise InputError(
                f"backbone.name={self.name!r} lacks {len(missing)} of the weights of {type(whole).__name__}, such as "
                f"{missing[0]}; set it to a complete checkpoint"
            )
        return model

    def _model_arguments(self) -> dict[str, Any]:
        return {**pooling_layer(self.config, self.pooling == "pooler"), **self.adaptation.arguments}

    def _checked(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model, adapted and in training mode, after it is sure that pooling and lengths suit it."""
        if self.pooling == "pooler" and getattr(model, "pooler", None) is None:
            raise InputError(self._no_pooler())
        words = model.get_input_embeddings().num_embeddings
        if len(self.tokenizer) > words:
            raise InputError(
                f"backbone.name={self.name!r} has a tokenizer of {len(self.tokenizer):,} tokens and a model of "
                f"{words:,}: another model's tokenizer; give a folder in which they belong together"
            )
        most, least = positions(model), self.tokenizer.num_special_tokens_to_add() + 1
        for key in ("max_query_tokens", "max_code_tokens"):
            asked = getattr(self, key)
            if most is not None and asked > most:
                raise InputError(f"backbone.encoder.{key}={asked}, but {self.name!r} has positions for {most} tokens")
            if asked < least:
                raise InputError(
                    f"backbone.encoder.{key}={asked}, but {self.name!r} needs at least {least}: special tokens count"
                )
        # from_pretrained leaves dropout off, and Lightning keeps the mode it finds
        return self.adaptation.apply(model, self.name).train()

    def _no_pooler(self) -> str:
        return (
            f"backbone.pooling=pooler, but backbone.name={self.name!r} has no trained pooling layer; "
            "set backbone.pooling=mean or backbone.pooling=cls"
        )

    def merge(self) -> PreTrainedModel:
        """A copy of the model in float32 with LoRA's matrices added to the weights: a plain model of transformers."""
        return merged(self.model)

    # What a checkpoint of ours carries

    def identity(self) -> str:
        """Hash of the checkpoint's files."""
        kept = (path for path in sorted(Path(self._folder).iterdir()) if path.suffix in FILES)
        return fingerprint(text for path in kept for text in (path.name, sha256(path)))

    def assets(self) -> dict[str, Any]:
        """The configuration, the tokenizer's own JSON and its special tokens: enough to rebuild both anywhere."""
        config = json.loads(self.config.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)  # where the folder lay on this machine
        return {"config": config, **tokenizer_assets(self.tokenizer)}

    def load_assets(self, assets: dict[str, Any]) -> None:
        """Rebuilds tokenizer and model from `assets()`; the weights are random until a state dict is loaded."""
        self.config = self._suited(AutoConfig.for_model(**assets["config"]))
        self.tokenizer = self._prepared(rebuilt(assets))
        with quiet():
            self.model = self._checked(encoder_of(AutoModel.from_config(self.config, **self._model_arguments())))
