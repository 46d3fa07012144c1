"""Every loss of conf/loss, found by its yaml, for the tests that every loss must pass; and variants of ours.

A new loss needs nothing here: its yaml is enough.
"""

from __future__ import annotations

import torch
from hydra.utils import instantiate

from src.config.compose import compose_config
from src.config.targets import CONF
from src.losses.base import Loss
from src.losses.bce import BCE
from src.losses.false_negative_cancellation import FalseNegativeCancellation
from src.losses.infonce import InfoNCE
from src.losses.kl_regularized import KLRegularized
from src.losses.soft_infonce import SoftInfoNCE
from src.losses.weighted_infonce import WeightedInfoNCE

# Our losses with settings that tell most at small batches. All of them are functions of softmax(s): a constant added to
# a row's scores changes nothing, and a row without negatives is 0.
SOFTMAX: dict[str, Loss] = {
    "infonce": InfoNCE(),
    "soft_infonce": SoftInfoNCE(alpha=1.0, beta=2.0, weight_temperature=0.5),
    "soft_infonce_unclipped": SoftInfoNCE(alpha=1.0, beta=1.3, weight_temperature=0.7, min_weight=0.0),
    "weighted_infonce": WeightedInfoNCE(weight_temperature=0.5),
    "bce": BCE(weight_temperature=0.5),
    "kl_regularized": KLRegularized(alpha=0.3, beta=0.7, weight_temperature=0.5),
    "cancel_top_k": FalseNegativeCancellation(top_k=2),
    "cancel_threshold": FalseNegativeCancellation(threshold=0.8),
}
# As the yaml files configure them.
CONFIGURED: dict[str, Loss] = {
    f"{path.stem}.yaml": instantiate(compose_config("train", [f"loss={path.stem}"]).loss)
    for path in sorted((CONF / "loss").glob("*.yaml"))
}
LOSSES = SOFTMAX | CONFIGURED


def batch(B: int = 3, C: int = 5, seed: int = 0, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random float64 (scores_BC, positive_B, similarity_BC); positives are not on the diagonal."""
    generator = torch.Generator().manual_seed(seed)
    scores_BC = scale * torch.randn(B, C, generator=generator, dtype=torch.float64)
    similarity_BC = torch.rand(B, C, generator=generator, dtype=torch.float64)
    positive_B = torch.randint(C, (B,), generator=generator)
    return scores_BC, positive_B, similarity_BC
