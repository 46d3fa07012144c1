"""From one hidden state per token to one embedding per text.

Shape letters: B texts, L tokens, D embedding size.
"""

from __future__ import annotations

import torch

from src.config.choices import Pooling


def pool(hidden_BLD: torch.Tensor, mask_BL: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """embeddings_BD in float32 or better, for padding on either side.

    Args:
        hidden_BLD: last hidden states; those of padding may have any value, even NaN.
        mask_BL: 1 on real tokens, 0 on padding.
        pooling: `cls` takes the first real token, `last` the last one, `mean` the mean over the real ones. (`pooler`
            is a layer of the model, which this function does not compute.)
    """
    hidden_BLD = hidden_BLD.to(torch.promote_types(hidden_BLD.dtype, torch.float32))  # bfloat16 cannot count past 256
    if pooling == "mean":
        padding_BL1 = (mask_BL == 0).unsqueeze(-1)
        return hidden_BLD.masked_fill(padding_BL1, 0).sum(dim=1) / mask_BL.sum(dim=1, keepdim=True).clamp(min=1)
    position_L = torch.arange(1, mask_BL.shape[1] + 1, device=mask_BL.device)
    if pooling == "last":
        token_B = (mask_BL * position_L).argmax(dim=1)
    elif pooling == "cls":
        token_B = (mask_BL * position_L.flip(0)).argmax(dim=1)
    else:
        raise ValueError(f"pool() knows cls, mean and last, found {pooling!r}")
    # shape[0] instead of len(), so that an exported graph takes any number of texts
    return hidden_BLD[torch.arange(hidden_BLD.shape[0], device=mask_BL.device), token_B]
