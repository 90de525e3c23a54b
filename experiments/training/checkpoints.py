"""The weights that a training returns: those of its last epoch, the mean of its best checkpoints, or all of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.networks import checkpoint_mean

Row = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """Result of a training: weights, one history row an epoch, and the validation metrics of the chosen epoch."""

    state: dict[str, Tensor]
    history: list[Row]
    metrics: dict[str, float]


def trained(
    net: nn.Module, rows: list[Row], best: Mapping[Path, float] | None, each: bool = False
) -> Trained:
    """The last weights, or those of the best checkpoints, with the metrics of the last (or best) validation.

    best: Lightning's checkpoints and their scores; None: the last epoch is the result. each: keep all of them, for a
    CheckpointMean, in place of the mean of their weights.
    """
    validated = [row for row in rows if "val/score" in row]
    row = validated[-1] if best is None else max(validated, key=lambda row: row["val/score"])
    state = net.state_dict() if best is None else _state_of(best, each)
    metrics = {name.removeprefix("val/"): value for name, value in row.items() if name.startswith("val/")}
    return Trained({name: value.detach().cpu().contiguous() for name, value in state.items()}, rows, metrics)


def _state_of(best: Mapping[Path, float], each: bool) -> dict[str, Tensor]:
    if not each:
        return mean_of(sorted(best))
    ordered = sorted(best, key=lambda path: (-best[path], path))
    return checkpoint_mean.joined([_network(path) for path in ordered])


def mean_of(checkpoints: list[Path]) -> dict[str, Tensor]:
    """The mean of the network's weights in Lightning's checkpoints; counters are the first one's."""
    states = [_network(path) for path in checkpoints]
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


def _network(checkpoint: Path) -> dict[str, Tensor]:
    """The network's weights in one of Lightning's checkpoints."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")["state_dict"]
    return {name.removeprefix("net."): value for name, value in state.items()}
