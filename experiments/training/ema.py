"""The exponential moving average of the weights, which is often better than the weights of any one step."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from experiments.settings.training import TrainingSettings


def averaging(settings: TrainingSettings) -> list[WeightAveraging]:
    """Lightning's callback with the decay of the settings, or none. It validates with, and leaves, the average.

    The decay of update n is min(ema, (1 + n) / (10 + n)), as in TensorFlow's ExponentialMovingAverage: a short training would
    otherwise end as a mean of its random beginning.
    """
    if settings.ema is None:
        return []
    most = settings.ema

    def average(old: Tensor, new: Tensor, number: Tensor | int) -> Tensor:
        decay = min(most, (1 + int(number)) / (10 + int(number)))
        return old * decay + new * (1 - decay)

    return [WeightAveraging(avg_fn=average)]
