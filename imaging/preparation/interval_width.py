"""Estimate the width of the 95 % interval of the Kaggle Dice on a hold-out of n images, before training.

The score is a mean of n numbers from 0 to 1. If the mean is m, its variance is at most m (1 - m) / n (Bhatia and Davis 2000), and
nearly that here, since most images score exactly 0 or 1. So the half width is about 1.96 sqrt(m (1 - m) / n) with one image per
patient, and larger where patients have several images that resemble each other.
"""

from __future__ import annotations

import math

Z = 1.959964
"""97.5 % quantile of the normal distribution."""
WINNER = 0.8679
"""Private score of SIIM-ACR's first place, for which the width is stated."""
FEW = 30
"""With fewer images the normal approximation does not hold."""


def half_width(images: int, score: float = WINNER) -> float:
    """Half width of the interval of a mean score over this many images; infinite without any."""
    if not 0 <= score <= 1:
        raise ValueError(f"score {score} must be from 0 to 1")
    return Z * math.sqrt(score * (1 - score) / images) if images else math.inf


def sentence(images: int) -> str:
    """For the plan and the dataset card."""
    if images < FEW:
        return f"{images:,} images, too few to estimate the interval of the Kaggle Dice"
    return (
        f"{images:,} images; a Kaggle Dice of {WINNER} will have a 95 % interval of about ±{half_width(images):.3f} "
        "(1.96 sqrt(m (1 - m) / n), wider with several images per patient)"
    )
