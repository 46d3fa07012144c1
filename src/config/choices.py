"""Choices that several keys share, by name alone: what stands behind them takes a while to import."""

from typing import Literal, get_args

Host = Literal["127.0.0.1", "localhost", "::1"]

Fusion = Literal["none", "rrf"]
MOST = 1000  # results of a query

Pooling = Literal["mean", "cls", "last", "pooler"]

Language = Literal["python", "java", "javascript", "php", "ruby", "go"]
NAMES: tuple[str, ...] = get_args(Language)
Skipped = Literal["vendored", "tests", "generated", "minified"]

ExportFormat = Literal["sentence_transformers", "hf", "onnx"]
# What src.bench measures, in its order.
Measure = Literal[
    "bm25_block", "train_step", "loader", "estimators", "evaluation", "losses", "gradient_caching", "allocator"
]
