"""Similarity by a model that was trained before: `weights=trained_model`."""

from src.weights.embedding import EmbeddingEstimator


class TrainedModelEstimator(EmbeddingEstimator):
    """scale x the score that a model trained with InfoNCE gives to query i and code j.

    The score is that model's own: score_scale x dot product (or cosine, if it compares by cosine). A model of the run's
    backbone, data and recipe; see conf/experiment/trained_model.yaml. Departure from the paper's code, whose estimator
    shares its weights with the model in training and so moves with it: this one is frozen.
    """

    recipe = "trained_model"
    shared = ("lang", "corpus", "backbone", "model", "optimizer", "data", "trainer")
    sides = ("query", "code")
    cosine = False

    @property
    def factor(self) -> float:
        return self.scale * self._rows_ND.score_scale
