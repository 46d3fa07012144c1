"""Does BM25 beside the model find more? MRR of a run's test split by the model, BM25 and both fused:

python -m tests.benchmarks.fusion outputs/DIR [corpus.root=DIR ...]
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.deploy.encoder import Model
from src.deploy.index.build import embed_codes
from src.deploy.index.searcher import DEPTH, first, reciprocal_ranks
from src.metrics.retrieval import summarize
from src.metrics.summary import mrr_difference
from src.runs.restore import load_checkpoint
from src.utils.bm25 import BM25
from src.utils.subtokens import subtokens


def main(run: str, *overrides: str) -> None:
    warnings.filterwarnings("ignore")
    model = Model.load(run)
    cfg = OmegaConf.create(load_checkpoint(model.checkpoint)["run_config"])
    cfg.merge_with_dotlist(list(overrides))
    test = instantiate(cfg.corpus).split("test")
    codes = test.codebase.codes
    vectors_MD = embed_codes(model, codes, 256).astype(np.float32)
    lexical = BM25([subtokens(code) for code in codes])
    ranks: dict[str, list[float]] = {"model": [], "BM25": [], "rrf": []}
    for pair, positive in zip(test.pairs, test.positives):
        dense_M = vectors_MD @ model.query(pair.query)
        lexical_M = lexical.scores(lexical.query_matrix([subtokens(pair.query)]))[0]
        items, scores = reciprocal_ranks([np.argsort(-dense_M, kind="stable")[:DEPTH], first(lexical_M, DEPTH)])
        fused_M = np.zeros(len(codes))
        fused_M[items] = scores
        for name, scores_M in (("model", dense_M), ("BM25", lexical_M), ("rrf", fused_M)):
            equal = (scores_M == scores_M[positive]).sum() - 1
            ranks[name].append(1 + (scores_M > scores_M[positive]).sum() + equal / 2)
    print(f"{len(test.pairs):,} queries, {len(codes):,} candidates, {model.name}")
    for name, found in ranks.items():
        summary = summarize(found)
        apart = mrr_difference(np.array(found), np.array(ranks["model"]))
        print(
            f"{name:6} MRR {summary['mrr']:.3f} ({summary['mrr_low']:.3f} to {summary['mrr_high']:.3f})  "
            f"R@10 {summary['recall@10']:.3f}  "
            f"minus model {apart['mrr']:+.4f} ({apart['mrr_low']:+.4f} to {apart['mrr_high']:+.4f})"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
