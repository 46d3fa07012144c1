"""GraphCodeBERT (Guo et al. 2021, arXiv 2009.08366): code read together with its data flow.

Shape letters: B texts, L positions (special tokens, code tokens, nodes, padding), D embedding size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate, pairwise
from typing import Annotated, Any

import numpy as np
import torch
from transformers import PreTrainedModel

from src.backbones.adapt import Adaptation
from src.backbones.architecture import position_table
from src.backbones.base import Features
from src.backbones.tokens import encode, readable
from src.backbones.transformer import TransformerEncoder
from src.config.types import Count, Dropout, Whole
from src.dataflow import LANGUAGES, Edge, extract_dataflow, unparsed
from src.utils.errors import InputError, nearest
from src.utils.ragged import Ragged, counted, within

NODE, PADDING, FIRST = 0, 1, 2  # positions: of every node, of padding, and of the first token, as in RoBERTa
HIDDEN = -1e4  # added to the attention scores that the graph forbids; float16 holds it, and exp() of it is 0
COLUMNS = ("ids", "first", "after", "node", "parent")  # of a code, as graph_item returns them


class GraphCodeBERTEncoder(TransformerEncoder):
    """A `TransformerEncoder` (RoBERTa) whose codes are `<s> code </s>` and one node per edge of the data flow.

    Code is tokenised leaf by leaf of its syntax tree. A node starts as the mean of its code tokens' embeddings, and
    stands at position 0. Code tokens see code tokens; a node sees its code tokens, and they it; a node sees the nodes
    that its value comes from; the special tokens see everything. Queries are read as by RoBERTa.

    Code and nodes share `max_code_tokens + max_nodes` places: code leaves room for up to `max_nodes`, and each takes
    what the other leaves, as published. Departure: a node whose code tokens are cut off is left out, where the
    published code keeps it without any link. Code that does not parse has no nodes (see `dataflow.unparsed`).

    Args:
        name: as `TransformerEncoder`; the checkpoint must be a RoBERTa.
        language: one of `dataflow.LANGUAGES`, that of all codes.
        pooling: as `TransformerEncoder`; `pooler` is as published. `last` would be padding or a node: refused.
        max_query_tokens: longer queries are cut; special tokens count.
        max_code_tokens: the same for codes.
        max_nodes: 0 leaves the data flow out.
        dropout, dimensions, adaptation: as `TransformerEncoder`.

    Raises:
        InputError: unknown language or pooling; on first use: what `TransformerEncoder` raises, or another model.
    """

    tokenises_in_threads = False  # but for the parser

    def __init__(
        self,
        name: str | None,
        language: str,
        pooling: str = "pooler",
        max_query_tokens: Count = 128,
        max_code_tokens: Count = 256,
        max_nodes: Whole = 64,
        dropout: Dropout | None = None,
        dimensions: Count | None = None,
        **adaptation: Annotated[Any, Adaptation],
    ) -> None:
        super().__init__(
            name, pooling, max_query_tokens, max_code_tokens, dropout=dropout, dimensions=dimensions, **adaptation
        )
        if self.adaptation.attn_implementation == "flash_attention_2":
            raise InputError("backbone=graphcodebert needs an attention that takes a mask: set sdpa or eager")
        if language not in LANGUAGES:
            raise InputError(
                f"backbone=graphcodebert needs a language among {', '.join(LANGUAGES)}, found {language!r}"
                + nearest(language, LANGUAGES)
            )
        if pooling not in ("pooler", "cls"):
            raise InputError(f"backbone=graphcodebert pools by pooler or cls, found {pooling!r}; set backbone.pooling")
        if max_nodes < 0:
            raise InputError(f"backbone.encoder.max_nodes must be 0 or more, found {max_nodes}")
        self.language = language
        self.max_nodes = max_nodes

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """Of codes the columns of `graph_item`, of queries those of `TransformerEncoder`."""
        if side == "query":
            return super().tokenise(texts, side)
        flows = [extract_dataflow(readable(text), self.language) for text in texts]
        pieces = self._pieces([tokens for tokens, _ in flows])
        ends = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        made = [
            graph_item(ids, edges, self.max_code_tokens, self.max_nodes, *ends)
            for ids, (_, edges) in zip(pieces, flows)
        ]
        return Ragged.of(dict(zip(COLUMNS, zip(*made))))

    def tokenising(self, side: str) -> Mapping[str, Any]:
        """As `TransformerEncoder`; of codes also their language, how many nodes they may have, and the parser."""
        if side == "query":
            return super().tokenising(side)
        parser = [version(name) for name in ("tree-sitter", f"tree-sitter-{self.language}")]
        return {**super().tokenising(side), "language": self.language, "nodes": self.max_nodes, "parser": parser}

    def failures(self, side: str) -> Counter[str]:
        """Codes without data flow, by language: `dataflow.unparsed`."""
        return unparsed if side == "code" else Counter()

    def features(self, items: Ragged) -> Features:
        """Of codes int64 (B, L) `input_ids`, `position_ids` and bool (B, L, L) `attention_mask`: may row see column?"""
        if "first" not in items:
            return super().features(items)
        ids, whole = items.lengths("ids"), self.lengths(items)
        ids_BL = items.padded("ids", self.tokenizer.pad_token_id, width=whole.max())
        code_BL, used_BL = (torch.from_numpy(within(lengths, ids_BL.shape[1])) for lengths in (ids, whole))
        ids_BL[used_BL & ~code_BL] = self.tokenizer.unk_token_id  # of the nodes; no embedding is taken from it
        places_BL = torch.where(code_BL, torch.arange(FIRST, FIRST + ids_BL.shape[1]), PADDING)
        places_BL[used_BL & ~code_BL] = NODE
        return {"input_ids": ids_BL, "position_ids": places_BL, "attention_mask": graph_mask(items, code_BL, used_BL)}

    def lengths(self, items: Ragged) -> np.ndarray:
        """(N,) places of tokens and nodes."""
        return super().lengths(items) if "first" not in items else items.lengths("ids") + items.lengths("first")

    def _pieces(self, functions: list[list[str]]) -> list[list[list[int]]]:
        """The ids of every token of every function; all but a function's first are read after a space."""
        spaced = [" " * (place > 0) + token for tokens in functions for place, token in enumerate(tokens)]
        most = self.max_code_tokens + self.max_nodes  # a longer one is cut in any case
        ids = iter([text.ids for text in encode(self.tokenizer, spaced, most, specials=False)])
        return [[next(ids) for _ in tokens] for tokens in functions]

    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD."""
        if "position_ids" not in features or self.model is None:
            return super().forward(features)
        places_BL, sees_BLL = features["position_ids"], features["attention_mask"]
        words_BLD = self.model.get_input_embeddings()(features["input_ids"])
        node_BL1 = (places_BL == NODE).unsqueeze(-1)
        own_BLL = (sees_BLL & node_BL1 & (places_BL >= FIRST).unsqueeze(1)).to(words_BLD.dtype)
        means_BLD = own_BLL @ words_BLD / own_BLL.sum(dim=-1, keepdim=True).clamp(min=1)
        outputs = self.model(
            inputs_embeds=torch.where(node_BL1, means_BLD.to(words_BLD.dtype), words_BLD),
            position_ids=places_BL,
            attention_mask=(~sees_BLL).unsqueeze(1).to(words_BLD.dtype) * HIDDEN,
        )
        pooled_BD = outputs.pooler_output if self.pooling == "pooler" else outputs.last_hidden_state[:, 0].float()
        return pooled_BD[:, : self.dimensions]

    def _checked(self, model: PreTrainedModel) -> PreTrainedModel:
        table = position_table(model)
        if table is None or table.padding_idx != PADDING:
            raise InputError(
                f"backbone=graphcodebert needs a RoBERTa checkpoint, and backbone.name={self.name!r} is a "
                f"{type(model).__name__}; set backbone.name=microsoft/graphcodebert-base or backbone=hf"
            )
        asked, most = self.max_code_tokens + self.max_nodes, table.num_embeddings - FIRST
        if asked > most:
            raise InputError(
                f"backbone.encoder.max_code_tokens={self.max_code_tokens} and max_nodes={self.max_nodes}, but "
                f"{self.name!r} has positions for {most}"
            )
        return super()._checked(model)


def graph_item(
    pieces: list[list[int]], edges: list[Edge], max_code_tokens: int, max_nodes: int, start: int, end: int
) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """One function as GraphCodeBERT reads it.

    Args:
        pieces: the ids of each token of its syntax tree.
        edges: its data flow over these tokens.
        max_code_tokens, max_nodes: places for either, special tokens included.
        start, end: the ids of `<s>` and `</s>`.

    Returns:
        The ids of special and code tokens; of each node, which stand in the order of their tokens, the place of its
        first code token and the one after its last; and of each link between nodes, that of the node and of the node
        that its value comes from.
    """
    nodes = sorted(edges, key=lambda edge: edge[1]) if max_nodes else []
    places = max_code_tokens + max_nodes
    room = places - 2 - min(len(nodes), max_nodes)
    ids = [start, *[id_ for piece in pieces for id_ in piece][:room], end]
    spans = list(pairwise(accumulate(map(len, pieces), initial=1)))  # of each token's ids, after <s>
    nodes = [node for node in nodes[: places - len(ids)] if spans[node[1]][1] < len(ids)]
    row_of = {node[1]: row for row, node in enumerate(nodes)}  # of several edges of a token, the last
    links = [(row, row_of[parent]) for row, node in enumerate(nodes) for parent in node[4] if parent in row_of]
    own = [spans[node[1]] for node in nodes]
    return ids, *([pair[side] for pair in pairs] for pairs in (own, links) for side in (0, 1))


def graph_mask(items: Ragged, code_BL: torch.Tensor, used_BL: torch.Tensor) -> torch.Tensor:
    """bool (B, L, L), may row see column?

    Args:
        items: in the columns of `graph_item`.
        code_BL, used_BL: which places hold special and code tokens, and which these or nodes.
    """
    sees_BLL = code_BL.unsqueeze(1) & code_BL.unsqueeze(2)
    texts, ids = np.arange(len(items)), items.lengths("ids")
    for place in (0, ids - 1):  # <s> and </s>
        sees_BLL[texts, place] = used_BL
    nodes = items.lengths("first")
    text, place = np.repeat(texts, nodes), ids.repeat(nodes) + counted(nodes)  # of each node
    own = items.values("after").astype(int) - items.values("first")
    token = items.values("first").repeat(own) + counted(own)
    sees_BLL[text.repeat(own), place.repeat(own), token] = True
    sees_BLL[text.repeat(own), token, place.repeat(own)] = True
    links = items.lengths("node")
    text, shift = np.repeat(texts, links), ids.repeat(links)
    sees_BLL[text, shift + items.values("node"), shift + items.values("parent")] = True
    return sees_BLL
