"""The weights that a training returns: those of its last epoch, or the mean of its best checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

Row = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """Result of a training: weights, one history row an epoch, and the validation metrics of the chosen epoch."""

    state: dict[str, Tensor]
    history: list[Row]
    metrics: dict[str, float]


def trained(net: nn.Module, rows: list[Row], best: list[Path] | None) -> Trained:
    """The last weights, or the mean of those in the checkpoints `best`, with the metrics of the last (or best) validation."""
    validated = [row for row in rows if "val/score" in row]
    row = validated[-1] if best is None else max(validated, key=lambda row: row["val/score"])
    state = net.state_dict() if best is None else mean_of(sorted(best))
    metrics = {name.removeprefix("val/"): value for name, value in row.items() if name.startswith("val/")}
    return Trained({name: value.detach().cpu().contiguous() for name, value in state.items()}, rows, metrics)


def mean_of(checkpoints: list[Path]) -> dict[str, Tensor]:
    """The mean of the network's weights in Lightning's checkpoints; counters are the first one's."""
    states = [torch.load(path, weights_only=True, map_location="cpu")["state_dict"] for path in checkpoints]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    return {name.removeprefix("net."): value for name, value in mean.items()}
