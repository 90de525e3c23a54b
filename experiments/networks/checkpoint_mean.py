"""Average the predictions of several checkpoints of one training, as the winner of SIIM-ACR did with its three best."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

PREFIX = "checkpoints"
State = dict[str, Tensor]


class CheckpointMean(nn.Module):
    """One network with several sets of weights, best first; its logit is that of the mean of their probabilities."""

    def __init__(self, net: nn.Module, count: int) -> None:
        super().__init__()
        self.checkpoints = nn.ModuleList([copy.deepcopy(net) for _ in range(count)])

    def forward(self, image: Tensor) -> Tensor:
        """float (B, 1, H, W) to float32 logits, for prediction only."""
        return mean_logit(torch.stack([net(image).float() for net in self.checkpoints]))


def mean_logit(logits: Tensor) -> Tensor:
    """(K, …) to (…): the logit of the mean probability, without a probability that rounds to 0 or 1."""
    log_count = math.log(len(logits))
    log_prob = logsigmoid(logits).logsumexp(0) - log_count
    log_rest = logsigmoid(-logits).logsumexp(0) - log_count
    return log_prob - log_rest


def joined(states: Sequence[State]) -> State:
    """The state of a CheckpointMean from those of its checkpoints."""
    return {f"{PREFIX}.{k}.{name}": value for k, state in enumerate(states) for name, value in state.items()}


def count(state: State) -> int:
    """Number of checkpoints in a state; 0 for that of a single network."""
    return len({name.split(".")[1] for name in state if name.startswith(f"{PREFIX}.")})


def best(state: State) -> State:
    """The state of the best checkpoint of several; that of a single network is returned as it is."""
    own = f"{PREFIX}.0."
    return {k.removeprefix(own): v for k, v in state.items() if k.startswith(own)} if count(state) else state


def best_network(net: nn.Module) -> nn.Module:
    """The best checkpoint of several, for code that inspects a network; a single network is returned as it is."""
    return net.checkpoints[0] if isinstance(net, CheckpointMean) else net
