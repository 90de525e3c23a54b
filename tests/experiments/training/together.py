"""A stage in small: train each case and write the result.

    python -m tests.experiments.training.together PREPARED OUT DEVICES CASE…

With DEVICES above 1 it does so in as many processes, as `python -m segmentation.train` does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import timm
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file

from classification.objective import Objective
from experiments import ranks
from experiments.hardware import current
from experiments.settings.training import ClassificationSettings
from experiments.training import distributed, loop, train_fold
from experiments.training.checkpoints import Trained
from imaging.prepared import Prepared

SETTINGS: dict[str, Any] = {
    "models": ["c"], "image_size": 32, "epochs": 3, "batch_size": 4, "seed": 5, "lr": 3e-3,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "all": {"ema": 0.9, "accumulate": 2, "keep": "best", "patience": 2, "epochs": 4, "workers": 1},
    "plateau": {"schedule": "plateau", "warmup": 0, "lr_patience": 0, "iterations": 9},
    "frozen": {"freeze_encoder": 1, "lr": 3e-4},
    "timm": {"lr": 3e-4},
    "each_for_itself": {"sync_batchnorm": False},
    "killed": {},
}


def network(case: str) -> torch.nn.Module:
    """Without batch normalisation, which PyTorch synchronises on GPUs alone, but for one case."""
    torch.manual_seed(1)
    if case in ("timm", "frozen"):
        return timm.create_model("test_convnext", in_chans=1, num_classes=1, drop_path_rate=0.0)
    norm = torch.nn.BatchNorm2d(4) if case == "each_for_itself" else torch.nn.GroupNorm(2, 4)
    layers = [torch.nn.Conv2d(1, 4, 3, bias=False), norm, torch.nn.ReLU()]
    return torch.nn.Sequential(
        *layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 1)
    )


class Dies(Callback):
    """The second process is killed in the middle of the second epoch."""

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if ranks.rank() == 1 and trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def train(prepared: Prepared, out: Path, case: str, settings: ClassificationSettings) -> Trained:
    """All rows but one validate on five images, which two processes cannot share evenly."""
    images, validation = train_fold.datasets(prepared, 0, settings)
    validation.rows, validation.labels = validation.rows[:5], validation.labels[:5]
    dies = [Dies()] if case == "killed" and not (out / case).exists() else []
    return loop.fit(
        network(case), Objective(settings, np.arange(5)), images, validation, settings,
        title=case, resume=out / case, callbacks=[*dies],
    )  # fmt: skip


def settings_of(case: str, devices: int = 1) -> ClassificationSettings:
    return ClassificationSettings(**{**SETTINGS, **CASES[case], "devices": devices})


def main() -> None:
    prepared, out, devices, *cases = sys.argv[1:]
    if distributed.needs_launch(settings_of(cases[0], int(devices)), current()):
        try:
            return distributed.launch(int(devices))
        except ChildProcessError as error:
            sys.exit(str(error))
    with distributed.process_group(current()):
        for case in cases:
            made = train(Prepared(Path(prepared)), Path(out), case, settings_of(case, int(devices)))
            if ranks.first():
                save_file(made.state, Path(out) / f"{case}.safetensors")
                (Path(out) / f"{case}.json").write_text(json.dumps([made.history, made.metrics]))
    return None


if __name__ == "__main__":
    main()
