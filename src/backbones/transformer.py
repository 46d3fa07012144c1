"""Pretrained transformers as encoders: any checkpoint that `AutoModel` and a fast tokenizer can read."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from src.backbones.adapt import Adaptation
from src.backbones.architecture import DROPOUTS, encoder_of, max_positions, pooling_layer_argument
from src.backbones.base import Encoder, Features, pool
from src.backbones.hub import checkpoint_folder, quiet, refuse_remote_code
from src.backbones.tokens import (
    encode,
    prepare_tokenizer,
    rebuild_tokenizer,
    replace_surrogates,
    tokenizer_assets,
    tokenizer_identity,
)
from src.config.choices import Pooling
from src.config.types import Count, Dropout
from src.corpora.base import Pair, fingerprint
from src.utils.disk_cache import sha256
from src.utils.errors import InputError, UserError, first_line
from src.utils.ragged import Ragged, within

HASHED_SUFFIXES = {".json", ".txt", ".model", ".safetensors", ".bin"}  # files that decide the embeddings
NO_WEIGHTS = "the encoder has no weights yet: call fit(pairs) or load_assets(assets) first"


class TransformerEncoder(Encoder):
    """A pretrained transformer with one pooled embedding per text.

    The constructor reads nothing. Tokenizer and configuration are read on first use; the weights are read by `fit`, or
    created by `load_assets` without the folder, the hub or the network. Weights are float32 for every checkpoint,
    except those that LoRA freezes (see `Adaptation`).

    Args:
        name: a folder written by `save_pretrained`, or a hub name. The hub is asked once, without retries; if it does
            not answer, files from its cache are used.
        pooling: `mean`, `cls` (first token), `last` (last token, for causal models) or `pooler` (the layer that BERT
            and RoBERTa put on the first token; the checkpoint must hold its weights).
        max_query_tokens: number of tokens after which a query is truncated, special tokens included.
        max_code_tokens: number of tokens after which a code is truncated, special tokens included.
        query_prefix: text before every query, such as the instruction that a model was trained with.
        code_prefix: text before every code.
        dropout: for every dropout in the checkpoint's configuration; None keeps its own.
        dimensions: size of the embedding, its first dimensions, for models trained for this (Kusupati et al. 2022,
            2205.13147); None keeps all.
        end_token: the last token of every text, truncated or not, where pooling relies on it; it is appended unless
            the tokenizer's own template does so. None keeps the template.
        adaptation: arguments of `Adaptation`.

    Only the encoder of an encoder-decoder (T5, BART) is used. Code in a checkpoint's repository is never run.

    Raises:
        InputError: no name; on first use: a checkpoint that cannot be read, lacks weights or needs
            its own code, more tokens than the model has positions, fewer than its special tokens, more dimensions
            than the model's.
    """

    tokenises_in_threads = True
    model: PreTrainedModel | None  # None before `fit` or `load_assets`

    def __init__(
        self,
        name: str | None,
        pooling: Pooling = "mean",
        max_query_tokens: Count = 128,
        max_code_tokens: Count = 256,
        query_prefix: str = "",
        code_prefix: str = "",
        dropout: Dropout | None = None,
        dimensions: Count | None = None,
        end_token: str | None = None,
        **adaptation: Annotated[Any, Adaptation],
    ) -> None:
        super().__init__()
        if not name:
            raise InputError("backbone=hf needs backbone.name=HUB_NAME_OR_FOLDER")
        self.name = name
        self.pooling = pooling
        self.max_query_tokens, self.max_code_tokens = max_query_tokens, max_code_tokens
        self.query_prefix, self.code_prefix = query_prefix, code_prefix
        self.dropout = dropout
        self.dimensions = dimensions
        self.end_token = end_token
        self.adaptation = Adaptation(**adaptation)
        self.register_module("model", None)

    def _prefix_and_length(self, side: str) -> tuple[str, int]:
        query, code = (self.query_prefix, self.max_query_tokens), (self.code_prefix, self.max_code_tokens)
        return query if side == "query" else code

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """`input_ids` and, where the tokenizer gives them, `token_type_ids`."""
        (prefix, max_tokens), tokenizer = self._prefix_and_length(side), self.tokenizer
        # A text without tokens has no embedding: if the tokenizer adds no special one, an empty text gets padding.
        empty = "" if tokenizer.num_special_tokens_to_add() else tokenizer.pad_token
        encoded = encode(tokenizer, [replace_surrogates(prefix + text) or empty for text in texts], max_tokens)
        columns = {"input_ids": [text.ids for text in encoded]}
        if "token_type_ids" in tokenizer.model_input_names:
            columns["token_type_ids"] = [text.type_ids for text in encoded]
        return Ragged.of(columns)

    def tokenization_settings(self, side: str) -> Mapping[str, Any]:
        """A hash of the tokenizer, and the side's prefix and length."""
        return {"tokenizer": tokenizer_identity(self.tokenizer), "prefix and length": self._prefix_and_length(side)}

    def features(self, items: Ragged) -> Features:
        """int64 (B, L) `input_ids`, `attention_mask` and, where the tokenizer gives them, `token_type_ids`."""
        ids_BL = items.padded("input_ids", self.tokenizer.pad_token_id)
        mask_BL = torch.from_numpy(within(items.lengths("input_ids"), ids_BL.shape[1])).long()
        features = {"input_ids": ids_BL, "attention_mask": mask_BL}
        if "token_type_ids" in items:
            features["token_type_ids"] = items.padded("token_type_ids", self.tokenizer.pad_token_type_id)
        return features

    @property
    def embedding_size(self) -> int:  # type: ignore[override]  # read-only: it follows from the checkpoint
        return self.dimensions or self.config.hidden_size

    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD."""
        if self.model is None:
            raise RuntimeError(NO_WEIGHTS)
        outputs = self.model(**features)
        if self.pooling == "pooler":
            return outputs.pooler_output[:, : self.dimensions]
        return pool(outputs.last_hidden_state, features["attention_mask"], self.pooling)[:, : self.dimensions]

    def check(self) -> None:
        """Raises InputError unless the checkpoint exists (from the hub, it is downloaded) and fits the keys."""
        assert self.config

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Reads the pretrained weights, once; `pairs` are not used."""
        if self.model is None:
            self.model = self._adapted(self._read(self._read_model))

    @cached_property
    def config(self) -> PretrainedConfig:
        """The model's configuration."""
        config = self._read(lambda folder: AutoConfig.from_pretrained(folder, trust_remote_code=False))
        config.use_cache = False  # keys and values are only for text generation
        return self._with_dropout(config)

    def _with_dropout(self, config: PretrainedConfig) -> PretrainedConfig:
        """The configuration with this encoder's dropout. Raises InputError where it has less than asked for."""
        first, layers = self.adaptation.frozen_layers, getattr(config, "num_hidden_layers", None)
        if layers is not None and first > layers:
            raise InputError(f"backbone.encoder.frozen_layers={first}, but {self.name!r} has {layers} layers")
        if self.dimensions is not None and self.dimensions > config.hidden_size:
            raise InputError(
                f"backbone.encoder.dimensions={self.dimensions}, but the embeddings of {self.name!r} have "
                f"{config.hidden_size}; set at most that, or null for all"
            )
        if self.dropout is None:
            return config
        names = [name for name in DROPOUTS if hasattr(config, name)]
        if not names:
            raise InputError(
                f"backbone.encoder.dropout={self.dropout}: the configuration of {self.name!r} has none of "
                f"{', '.join(DROPOUTS)}; set backbone.encoder.dropout=null"
            )
        for name in names:
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
        """read(folder) without transformers' messages; every error becomes an InputError of one line."""
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
        return prepare_tokenizer(tokenizer, self.name, self.end_token)

    def _read_model(self, folder: str) -> PreTrainedModel:
        whole, report = AutoModel.from_pretrained(
            folder, config=self.config, trust_remote_code=False, output_loading_info=True, **self._model_arguments()
        )
        model = encoder_of(whole)
        pooled = self.pooling == "pooler"
        used = {id(value) for name, value in model.named_parameters() if pooled or not name.startswith("pooler.")}
        # transformers initialises missing weights at random with a mere warning; its version 4 prefixes their names
        absent = {name.removeprefix(f"{whole.base_model_prefix}.") for name in report["missing_keys"]}
        parameters = whole.named_parameters(remove_duplicate=False)
        missing = [name for name, value in parameters if id(value) in used and name in absent]
        untrained = missing and all("pooler" in name for name in missing)
        if pooled and (untrained or getattr(model, "pooler", None) is None):
            raise InputError(
                f"backbone.pooling=pooler, but backbone.name={self.name!r} has no trained pooling layer; "
                "set backbone.pooling=mean or backbone.pooling=cls"
            )
        if missing:
            raise InputError(
                f"backbone.name={self.name!r} lacks {len(missing)} of the weights of {type(whole).__name__}, such as "
                f"{missing[0]}; set it to a complete checkpoint"
            )
        return model

    def _model_arguments(self) -> dict[str, Any]:
        attention = self.adaptation.attn_implementation
        pooling = pooling_layer_argument(self.config, self.pooling == "pooler")
        return {**pooling, "attn_implementation": attention} if attention else pooling

    def _adapted(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model, adapted and in training mode. Raises InputError where tokenizer or lengths do not fit it."""
        words: Any = model.get_input_embeddings().num_embeddings
        if len(self.tokenizer) > words:
            raise InputError(
                f"backbone.name={self.name!r} has a tokenizer of {len(self.tokenizer):,} tokens and a model of "
                f"{words:,}: another model's tokenizer; set it to a folder in which both belong together"
            )
        most, least = max_positions(model), self.tokenizer.num_special_tokens_to_add() + 1
        for key in ("max_query_tokens", "max_code_tokens"):
            length = getattr(self, key)
            if most is not None and length > most:
                raise InputError(f"backbone.encoder.{key}={length}, but {self.name!r} has positions for {most} tokens")
            if length < least:
                raise InputError(
                    f"backbone.encoder.{key}={length}, but {self.name!r} needs at least {least}: special tokens count"
                )
        # from_pretrained turns dropout off, and Lightning keeps the mode that it finds
        return self.adaptation.apply(model, self.name).train()

    def merge(self) -> PreTrainedModel:
        """A copy of the model in float32 with LoRA's matrices added to the weights: a plain model of transformers."""
        if self.model is None:
            raise RuntimeError(NO_WEIGHTS)
        model = copy.deepcopy(self.model)
        nn.Module.float(model)
        for name, module in list(model.named_modules()):
            if hasattr(module, "get_base_layer") and hasattr(module, "merge"):  # a layer of peft, which is not imported
                module.merge()
                model.set_submodule(name, module.get_base_layer())
        return model.requires_grad_(True)

    def identity(self) -> str:
        """Hash of the checkpoint's files."""
        files = (path for path in sorted(Path(self._folder).iterdir()) if path.suffix in HASHED_SUFFIXES)
        return fingerprint(text for path in files for text in (path.name, sha256(path)))

    def assets(self) -> dict[str, Any]:
        """The configuration, the tokenizer's own JSON and its special tokens: enough to rebuild both anywhere."""
        config = json.loads(self.config.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)  # the folder's path on this machine
        return {"config": config, **tokenizer_assets(self.tokenizer)}

    def load_assets(self, assets: dict[str, Any]) -> None:
        """Rebuilds tokenizer and model from `assets()`; the weights are random until a state dict is loaded."""
        self.config = self._with_dropout(AutoConfig.for_model(**assets["config"]))
        self.tokenizer = self._prepared(rebuild_tokenizer(assets))
        with quiet():
            self.model = self._adapted(encoder_of(AutoModel.from_config(self.config, **self._model_arguments())))
