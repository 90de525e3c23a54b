"""Lack of memory or disk, or a killed worker: an error with its fix, and the training resumes with the same result."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors import SafetensorError

import segmentation.architectures
import segmentation.train
from experiments.monitoring.failures import in_words
from experiments.settings.training import SegmentationSettings
from experiments.training import train_fold, tuned_params
from tests.imaging.conftest import make_prepared

SETTINGS: dict[str, Any] = {
    "models": ["u"], "architecture": "plain", "base_channels": 4, "image_size": 32, "batch_size": 4, "epochs": 3, "seed": 5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), r"lower s\.batch_size .* or lower s\.image_size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), r"lower s\.batch_size"),
        (MemoryError(), r"out of memory \(MemoryError\)"),
        (OSError(errno.ENOSPC, "No space left on device", "a.ckpt"), r"disk full \(.*a\.ckpt"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "disk full"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), r"lower s\.workers"),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), r"lower s\.workers"),
        (OSError(errno.ENOENT, "No such file or directory"), None),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("out of memory"), None),
    ],
)  # fmt: skip
def test_a_cause_has_its_mend(error: Exception, words: str | None) -> None:
    told = in_words(error, "s")
    assert (told is None) == (words is None)
    assert words is None or re.search(words, str(told))


class Strikes(Callback):
    """Does something in the middle of the second epoch."""

    def __init__(self, harm: Callable[[pl.Trainer], None]) -> None:
        self.harm = harm

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.current_epoch == 1:
            self.harm(trainer)


def no_room(trainer: pl.Trainer) -> None:
    """No file may grow past 64 KiB; Python makes an OSError of it, as of a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def end_a_loader(trainer: pl.Trainer) -> None:
    """As the kernel does when memory is short."""
    loader = trainer.train_dataloader._iterator  # type: ignore[union-attr]
    os.kill(loader._workers[0].pid, signal.SIGKILL)


def no_memory(trainer: pl.Trainer) -> None:
    raise MemoryError("cannot allocate 3 GiB")


@contextmanager
def limits_kept() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def train(
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[pl.Trainer], None] | None = None,
    origin: str | None = None,
) -> None:
    """As the DVC stage does, with a callback more."""
    settings = SegmentationSettings(**SETTINGS, workers=workers)
    with monkeypatch.context() as patch:
        patch.setattr(train_fold, "code_of", lambda stage: [])  # of the folder it stands in
        if harm is not None:
            patch.setattr(train_fold, "Overlays", lambda *args: Strikes(harm))
        train_fold.train(
            "segmentation", "u", 0, settings, segmentation.architectures.build, segmentation.objective.Objective,
            origin=lambda _: origin,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "workers", "words"),
    [
        (no_room, 0, r"train_segmentation u fold 0: disk full \(.*File too large.*resumes after the last complete"),
        (end_a_loader, 2, r"train_segmentation u fold 0: a data loader process was killed .*segmentation\.workers"),
        (no_memory, 0, r"train_segmentation u fold 0: out of memory .*segmentation\.batch_size"),
    ],
)  # fmt: skip
def test_a_training_goes_on_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[pl.Trainer], None], workers: int, words: str
) -> None:  # fmt: skip
    weights = Path("models/segmentation/u/fold0.safetensors")
    found = []
    for name in ("harmed", "whole"):
        folder = tmp_path / name
        make_prepared(folder / "data")
        monkeypatch.chdir(folder)
        tuned_params.pass_through("segmentation")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        if name == "harmed":
            with limits_kept(), pytest.raises(SystemExit, match=words):
                train(workers, monkeypatch, harm)
            assert not weights.exists()
            assert [path.name for path in Path(".resume").rglob("*.ckpt")] == ["last.ckpt"]
        train(workers, monkeypatch)
        found.append(weights.read_bytes())
        assert not list(Path(".resume").glob("segmentation*"))
    assert found[0] == found[1]


def test_an_unfinished_training_that_began_with_other_weights_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_prepared(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    tuned_params.pass_through("segmentation")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(SystemExit, match="out of memory"):
        train(0, monkeypatch, no_memory, origin="a classifier's")
    (unfinished,) = Path(".resume").glob("segmentation*")
    train(0, monkeypatch, origin="another's")
    assert list(Path(".resume").glob("segmentation*")) == [unfinished]
    train(0, monkeypatch, origin="a classifier's")
    assert not list(Path(".resume").glob("segmentation*"))
