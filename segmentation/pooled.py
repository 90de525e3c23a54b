"""The image's probability where there is no classifier: pooled from the mask map of one network.

The highest pixels tell whether anything was found; their mean is steadier than the single highest one. It is taken from the
network's own output: the eight bits in which maps are kept (imaging.map_levels) end at a probability of .004, below which the
whole map of many a negative lies, so that all of these would tie. A network with an image-level head multiplies its map by the
head's probability, so the pool holds that too."""

from __future__ import annotations

import torch
from torch import Tensor

SHARE = 0.005
"""Share of the pixels that are pooled: 5,243 of a 1024² radiograph. The median lesion of SIIM-ACR has .8 % of them. Other
shares: docs/field-trial.md, "What the score is pooled from"."""
LOGIT_RANGE = 1e-30, 1 - 2**-24
"""Probabilities are kept between these, so that their logits are finite; the upper one is the last below 1 in float32."""


def pooled_probability(prob: Tensor) -> Tensor:
    """Sigmoid of the mean logit of the highest half per cent of each map's pixels, at least one: float64 (B,).

    prob: float32 (B, 1, s, s), a network's probabilities before they are rounded to levels.
    """
    pixels = prob.flatten(1)
    highest = pixels.topk(max(1, round(SHARE * pixels.shape[1])), dim=1, sorted=False).values
    return torch.logit(highest.double().clamp(*LOGIT_RANGE)).mean(dim=1).sigmoid()
