"""SimCSE similarity of training queries: `weights=simcse`."""

from src.weights.embedding import EmbeddingEstimator


class SimCSEEstimator(EmbeddingEstimator):
    """scale x cosine of two queries under a sentence encoder that was trained on the training queries without labels.

    Two queries that mean the same have codes that answer the same. The encoder learns by telling a query from all
    others with nothing but dropout between its two embeddings (SimCSE: Gao et al., 2021, arXiv 2104.08821), at
    temperature 0.07 as the paper's code; see conf/experiment/simcse.yaml. Departure from that code: the encoder starts
    from the run's backbone (or `backbone`), not from one that was trained with labels.
    """

    recipe = "simcse"
    shared = ("lang", "corpus", "backbone")
