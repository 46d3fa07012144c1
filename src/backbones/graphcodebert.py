"""GraphCodeBERT (Guo et al. 2021, arXiv 2009.08366): code tokens together with nodes of their data flow.

Shape letters: B texts, L positions (special tokens, code tokens, nodes, padding), D embedding size.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal

import numpy as np
import torch
from transformers import PreTrainedModel

from src.backbones.adapt import Adaptation
from src.backbones.architecture import position_table
from src.backbones.base import Features
from src.backbones.tokens import encode, replace_surrogates
from src.backbones.transformer import TransformerEncoder
from src.config.types import Count, Dropout, Whole
from src.dataflow import LANGUAGES, Edge, extract_dataflow, unparsed
from src.utils.errors import InputError, nearest
from src.utils.ragged import Ragged, counted, within

NODE, PADDING, FIRST = 0, 1, 2  # position ids of every node, of padding, and of the first token, as in RoBERTa
MASKED = -1e4  # added to the attention scores that the graph forbids; float16 can hold it, and its exp() is 0
COLUMNS = ("ids", "first", "after", "node", "parent")  # of a code, in the order of the result of graph_item


class GraphCodeBERTEncoder(TransformerEncoder):
    """A `TransformerEncoder` (RoBERTa) whose codes are `<s> code </s>` followed by one node per edge of the data flow.

    Code is tokenised leaf by leaf of its syntax tree. The input embedding of a node is the mean of those of its code
    tokens, at position 0. Code tokens attend to code tokens; a node and its code tokens attend to each other; a node
    attends to the nodes that its value comes from; the special tokens attend to everything. Queries are plain RoBERTa
    input.

    Code and nodes share `max_code_tokens + max_nodes` positions: code leaves room for up to `max_nodes` nodes, and
    each may use what the other does not need, as published. Departure: a node whose code tokens are truncated is
    dropped, where the published code keeps it without any link. Code that does not parse has no nodes (see
    `dataflow.unparsed`).

    Args:
        name: as `TransformerEncoder`; the checkpoint must be a RoBERTa.
        language: one of `dataflow.LANGUAGES`, that of all codes.
        pooling: as `TransformerEncoder`; `pooler` is as published. Not `last`, which would be padding or a node.
        max_query_tokens: number of tokens after which a query is truncated, special tokens included.
        max_code_tokens: number of tokens after which a code is truncated, special tokens included.
        max_nodes: largest number of nodes; 0 omits the data flow.
        dropout, dimensions, adaptation: as `TransformerEncoder`.

    Raises InputError: unknown language; on first use: what `TransformerEncoder` raises, or another model.
    """

    tokenises_in_threads = False  # the parser does not

    def __init__(
        self,
        name: str | None,
        language: str,
        pooling: Literal["pooler", "cls"] = "pooler",
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
        self.language = language
        self.max_nodes = max_nodes

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """For codes the columns of `graph_item`, for queries those of `TransformerEncoder`."""
        if side == "query":
            return super().tokenise(texts, side)
        flows = [extract_dataflow(replace_surrogates(text), self.language) for text in texts]
        # all but the first token of a function get a space before them
        spaced = [" " * (index > 0) + token for tokens, _ in flows for index, token in enumerate(tokens)]
        longest = self.max_code_tokens + self.max_nodes  # longer tokens are truncated in any case
        pieces = iter([text.ids for text in encode(self.tokenizer, spaced, longest, specials=False)])
        start, end = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        items = [
            graph_item([next(pieces) for _ in tokens], edges, self.max_code_tokens, self.max_nodes, start, end)
            for tokens, edges in flows
        ]
        return Ragged.of(dict(zip(COLUMNS, zip(*items))))

    def tokenization_settings(self, side: str) -> Mapping[str, Any]:
        """As `TransformerEncoder`; for codes also the language, the number of nodes and the parser's versions."""
        settings = super().tokenization_settings(side)
        if side == "query":
            return settings
        parser = [version(name) for name in ("tree-sitter", f"tree-sitter-{self.language}")]
        return {**settings, "language": self.language, "nodes": self.max_nodes, "parser": parser}

    def parse_failures(self, side: str) -> Counter[str]:
        """Number of codes without data flow, by language: `dataflow.unparsed`."""
        return unparsed if side == "code" else Counter()

    def features(self, items: Ragged) -> Features:
        """For codes int64 (B, L) `input_ids` and `position_ids`, and the `attention_mask` of `graph_mask`."""
        if "first" not in items:
            return super().features(items)
        ids, whole = items.lengths("ids"), self.lengths(items)
        ids_BL = items.padded("ids", self.tokenizer.pad_token_id, width=whole.max())
        code_BL, used_BL = (torch.from_numpy(within(lengths, ids_BL.shape[1])) for lengths in (ids, whole))
        ids_BL[used_BL & ~code_BL] = self.tokenizer.unk_token_id  # for nodes; its embedding is never used
        position_BL = torch.where(code_BL, torch.arange(FIRST, FIRST + ids_BL.shape[1]), PADDING)
        position_BL[used_BL & ~code_BL] = NODE
        return {"input_ids": ids_BL, "position_ids": position_BL, "attention_mask": graph_mask(items, code_BL, used_BL)}

    def lengths(self, items: Ragged) -> np.ndarray:
        """(N,) numbers of tokens and nodes."""
        return super().lengths(items) if "first" not in items else items.lengths("ids") + items.lengths("first")

    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD."""
        if "position_ids" not in features or self.model is None:
            return super().forward(features)
        position_BL, attends_BLL = features["position_ids"], features["attention_mask"]
        words_BLD = self.model.get_input_embeddings()(features["input_ids"])
        node_BL1 = (position_BL == NODE).unsqueeze(-1)
        own_BLL = (attends_BLL & node_BL1 & (position_BL >= FIRST).unsqueeze(1)).to(words_BLD.dtype)
        means_BLD = own_BLL @ words_BLD / own_BLL.sum(dim=-1, keepdim=True).clamp(min=1)
        outputs = self.model(
            inputs_embeds=torch.where(node_BL1, means_BLD.to(words_BLD.dtype), words_BLD),
            position_ids=position_BL,
            attention_mask=(~attends_BLL).unsqueeze(1).to(words_BLD.dtype) * MASKED,
        )
        pooled_BD = outputs.pooler_output if self.pooling == "pooler" else outputs.last_hidden_state[:, 0].float()
        return pooled_BD[:, : self.dimensions]

    def _adapted(self, model: PreTrainedModel) -> PreTrainedModel:
        table = position_table(model)
        if table is None or table.padding_idx != PADDING:
            raise InputError(
                f"backbone=graphcodebert needs a RoBERTa checkpoint, and backbone.name={self.name!r} is a "
                f"{type(model).__name__}; set backbone.name=microsoft/graphcodebert-base or backbone=hf"
            )
        most = table.num_embeddings - FIRST
        if self.max_code_tokens + self.max_nodes > most:
            raise InputError(
                f"backbone.encoder.max_code_tokens={self.max_code_tokens} and max_nodes={self.max_nodes}, but "
                f"{self.name!r} has positions for {most}"
            )
        return super()._adapted(model)


def graph_item(
    pieces: list[list[int]], edges: list[Edge], max_code_tokens: int, max_nodes: int, start: int, end: int
) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """The input of GraphCodeBERT for one function.

    Args:
        pieces: the ids of each token of its syntax tree.
        edges: the data flow between these tokens.
        max_code_tokens, max_nodes: numbers of positions for each, special tokens included.
        start, end: the ids of `<s>` and `</s>`.

    Returns:
        The ids of special and code tokens; for each node, in the order of their tokens, the position of its first code
        token and the position after its last; and for each link between nodes, the index of the node and the index of
        the node that its value comes from.
    """
    nodes = sorted(edges, key=lambda edge: edge[1]) if max_nodes else []
    positions = max_code_tokens + max_nodes
    room = positions - 2 - min(len(nodes), max_nodes)
    ids = [start, *[id_ for piece in pieces for id_ in piece][:room], end]
    spans = list(pairwise(accumulate(map(len, pieces), initial=1)))  # of each token's ids, after <s>
    nodes = [node for node in nodes[: positions - len(ids)] if spans[node[1]][1] < len(ids)]
    row_of = {node[1]: row for row, node in enumerate(nodes)}  # the last one for several edges of a token
    links = [(row, row_of[parent]) for row, node in enumerate(nodes) for parent in node[4] if parent in row_of]
    own = [spans[node[1]] for node in nodes]
    first, after = [span[0] for span in own], [span[1] for span in own]
    return ids, first, after, [link[0] for link in links], [link[1] for link in links]


def graph_mask(items: Ragged, code_BL: torch.Tensor, used_BL: torch.Tensor) -> torch.Tensor:
    """bool (B, L, L): the row attends to the column.

    Args:
        items: with the columns of `graph_item`.
        code_BL, used_BL: positions of special and code tokens, and positions of these or nodes.
    """
    attends_BLL = code_BL.unsqueeze(1) & code_BL.unsqueeze(2)
    texts, ids = np.arange(len(items)), items.lengths("ids")
    for position in (0, ids - 1):  # <s> and </s>
        attends_BLL[texts, position] = used_BL
    nodes = items.lengths("first")
    text, position = np.repeat(texts, nodes), ids.repeat(nodes) + counted(nodes)  # of each node
    own = items.values("after").astype(int) - items.values("first")
    token = items.values("first").repeat(own) + counted(own)
    attends_BLL[text.repeat(own), position.repeat(own), token] = True
    attends_BLL[text.repeat(own), token, position.repeat(own)] = True
    links = items.lengths("node")
    text, shift = np.repeat(texts, links), ids.repeat(links)
    attends_BLL[text, shift + items.values("node"), shift + items.values("parent")] = True
    return attends_BLL
