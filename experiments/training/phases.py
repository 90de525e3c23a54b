"""Train in phases, one after the other, each with settings of its own and the weights of the one before.

Examples: progressive resizing, the winner's stages with falling shares of positives, a last phase on positives alone.
A finished phase is stored in the resume folder, so that a killed run resumes in the phase where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lightning.pytorch.callbacks import Callback
from torch import nn

from experiments import ranks
from experiments.hardware import Hardware, current
from experiments.networks import checkpoint_mean, weights
from experiments.settings.common import TrainingSettings
from experiments.settings.training import phases_of
from experiments.training import loop, micro_batch
from experiments.training.checkpoints import Row, Trained
from experiments.training.learner import Objective
from imaging.data.dataset import Images

T = TypeVar("T", bound=TrainingSettings)
Report = Callable[[dict[str, float], int], None]
DONE = "done.safetensors"


def fit(
    net: nn.Module,
    settings: T,
    objective: Callable[[T], Objective],
    data: Callable[[T], tuple[Images, Images]],
    *,
    title: str,
    resume: Path,
    report: Report = lambda row, epoch: None,
    callbacks: list[Callback] | None = None,
    hardware: Hardware | None = None,
) -> Trained:
    """Run every phase of the settings; the history is that of all phases, with epochs numbered throughout.

    data: training and validation images under a phase's settings. For the rest see loop.fit, which runs a phase.
    """
    hardware = hardware or current()
    chain = phases_of(settings)
    history: list[Row] = []
    for number, phase in enumerate(chain):
        folder = resume if len(chain) == 1 else resume / f"phase{number}"
        name = title if len(chain) == 1 else f"{title} phase {number + 1}/{len(chain)}"
        finished = _finished(folder)
        if finished is not None:
            done = finished
        else:
            if number < len(chain) - 1:  # the next phase begins with one network
                phase = phase.model_copy(update={"top_average": "weights"})
            judge, sets = objective(phase), data(phase)
            resident = micro_batch.resident_bytes(sets, phase, hardware)
            done = loop.fit(
                net,
                judge,
                *sets,
                micro_batch.divided(net, judge.loss, phase, hardware, resident),
                title=name,
                resume=folder,
                report=_after(len(history), report),
                callbacks=callbacks,
                hardware=hardware,
            )
        if ranks.first():
            weights.save(folder / DONE, done.state, {"rows": done.history, "metrics": done.metrics})
        if not checkpoint_mean.count(done.state):
            net.load_state_dict(done.state)
        history += [{**row, "epoch": row["epoch"] + len(history)} for row in done.history]
    return Trained(done.state, history, done.metrics)


def _finished(folder: Path) -> Trained | None:
    path = folder / DONE
    if not path.with_suffix(".json").exists():
        return None
    facts = weights.load_facts(path)
    return Trained(weights.load_state(path), facts["rows"], facts["metrics"])


def _after(epochs: int, report: Report) -> Report:
    return lambda row, epoch: report(row, epoch + epochs)
