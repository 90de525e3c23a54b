"""The learning rate over a training: by the step, or by what the validation says."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from experiments.settings.training import TrainingSettings


def rate(settings: TrainingSettings, step: int, steps: int) -> float:
    """Learning rate at `step` of `steps`: linear warm-up over their share `warmup`, then from lr down to lr_end."""
    rise = settings.warmup * steps
    if step < rise:
        return settings.lr * (step + 1) / (rise + 1)
    done = min(1.0, (step - rise) / max(1.0, steps - rise))
    return settings.lr_end + (settings.lr - settings.lr_end) * _shape(settings, done)


def _shape(settings: TrainingSettings, done: float) -> float:
    """1 at the start, 0 at the end of each cycle; `done` is the share of the steps after the warm-up."""
    if settings.schedule == "poly":
        return (1 - done) ** 0.9  # the exponent of DeepLab and of mmsegmentation's schedules
    if settings.schedule == "cosine":
        within = done * settings.cycles % 1 if done < 1 else 1.0
        return 0.5 * (1 + math.cos(math.pi * within))
    return 1.0


def make_schedule(optimiser: Optimizer, settings: TrainingSettings, steps: int) -> dict[str, Any]:
    """What Lightning wants to know of the schedule: a function of the step, or a look at val/score.

    On a plateau, more than `lr_patience` looks without a better score, the rate falls to a tenth, not below lr_end.
    """
    if settings.schedule == "plateau":
        plateau = ReduceLROnPlateau(
            optimiser, mode="max", factor=0.1, patience=settings.lr_patience, min_lr=settings.lr_end
        )
        # Lightning would take its step after the epoch's checkpoint, which a resumed run then misses: see `look`
        return {"scheduler": plateau, "monitor": "val/score", "frequency": settings.epochs + 1}
    factor = LambdaLR(optimiser, lambda step: rate(settings, step, steps) / settings.lr)
    return {"scheduler": factor, "interval": "step"}


def look(schedule: Any, score: float) -> None:
    """Tell a plateau, and no other schedule, the validation score of an epoch."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(score)
