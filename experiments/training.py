"""Training of one network on one fold: the loop that both stages share.

A stage brings an `Objective` (its loss, what it notes for each validation image, how it sums that up); Lightning brings
the loop. Everything random is a function of (seed, epoch, image), so a run that was killed and resumed at the start of
an epoch ends with the same weights, bit for bit on a CPU, as one that was not.
"""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader

from experiments.ema import averaging
from experiments.epoch_log import EpochLog, not_finite
from experiments.freezing import frozen
from experiments.keeping import Trained, kept
from experiments.normalisation import normalise
from experiments.optimisers import make_optimiser
from experiments.schedules import look, make_schedule
from experiments.speed import Speed
from experiments.training_settings import TrainingSettings
from imaging.dataset import Images, as_it_is, worker_init
from imaging.sampling import EpochSampler

Batch = dict[str, Tensor]
# Lightning's advice about hardware and hubs; what goes wrong is raised.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Objective(Protocol):
    """What a stage wants of its network."""

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Scalar training loss of a batch from the network's output in training mode."""

    def evidence(self, output: Any, batch: Batch) -> Tensor:
        """(B, K) numbers noted for each validation image, on the device."""

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """Validation metrics from all images' evidence (N, K); `score` (higher is better) chooses the best epoch."""

    def maps(self, net: nn.Module, image: Tensor) -> Tensor | None:
        """Where the network sees a finding, as probabilities (B, h, w); None when it cannot say where."""


def choose_precision(wish: str) -> str:
    """`auto` becomes bf16 where the hardware multiplies it natively, fp16 on older GPUs, fp32 elsewhere."""
    if wish != "auto":
        return wish
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    # Without AMX or AVX512-BF16 instructions PyTorch emulates bf16, slower than fp32.
    return "bf16-mixed" if "amx_bf16" in flags or "avx512_bf16" in flags else "32-true"


class Learner(pl.LightningModule):
    """A network and its objective as Lightning wants them; images come as uint8 and are normalised on the device."""

    def __init__(self, net: nn.Module, objective: Objective, settings: TrainingSettings) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.objective = objective
        self.settings = settings
        self._evidence: list[Tensor] = []

    def forward(self, image: Tensor) -> Any:
        return self.net(normalise(image).contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.objective.loss(self(batch["image"]), batch)
        if loss.device.type == "cpu" and not torch.isfinite(
            loss
        ):  # on a GPU each look would wait for it: see EpochLog
            raise FloatingPointError(not_finite(self.settings, self.current_epoch, batch["row"].tolist()))
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["image"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evidence.append(self.objective.evidence(self(batch["image"]), batch))

    def on_validation_epoch_end(self) -> None:
        summary = self.objective.summary(torch.cat(self._evidence).cpu())
        self._evidence.clear()
        self.log_dict({f"val/{name}": value for name, value in summary.items()})
        look(self.lr_schedulers(), summary["score"])

    def configure_optimizers(self) -> Any:
        optimiser = make_optimiser(self.net, self.settings)
        steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimiser, "lr_scheduler": make_schedule(optimiser, self.settings, steps)}


def fit(
    net: nn.Module,
    objective: Objective,
    train: Images,
    validation: Images,
    settings: TrainingSettings,
    *,
    title: str,
    resume: Path,
    report: Callable[[dict[str, float], int], None] = lambda row, epoch: None,
    callbacks: list[Callback] | None = None,
) -> Trained:
    """Train `net` on `train`, look at `validation` as often as settings say, and return the kept weights.

    `resume` is a folder outside DVC's outputs; when it holds the state of an unfinished run of the same fingerprint,
    training goes on from it. The caller removes the folder once the result is safe on disk.
    """
    sampler = EpochSampler(
        train, settings.sampling, settings.seed, settings.epochs, _images_an_epoch(settings)
    )
    speed = Speed()
    log = EpochLog(title, sampler, speed, report)
    best = ModelCheckpoint(
        resume,
        "best-{epoch}",
        monitor="val/score",
        mode="max",
        save_top_k=settings.top,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(resume, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    learner = Learner(net, objective, settings)
    changes = [*averaging(settings), *frozen(settings)]
    trainer = _trainer(settings, [speed, log, *changes, *(callbacks or []), *_stopping(settings, best), last])
    unfinished = resume / "last.ckpt"
    if (
        unfinished.exists()
    ):  # loaders with workers begin on the epoch's images before EpochLog hears of the epoch
        sampler.set_epoch(torch.load(unfinished, weights_only=True, map_location="cpu")["epoch"] + 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists and is not empty.*")
        warnings.filterwarnings(
            "ignore", message=".*Precision bf16-mixed is not supported by the model summary.*"
        )
        trainer.fit(
            learner,
            _loader(train, settings, sampler),
            _loader(validation, settings, None),
            ckpt_path=unfinished if unfinished.exists() else None,
            weights_only=True,
        )
    paths = [Path(path) for path in best.best_k_models] if settings.keep == "best" else None
    return kept(learner.net, log.rows, paths)


def _images_an_epoch(settings: TrainingSettings) -> int | None:
    """Of a length in iterations: the images of its equal pieces; None: as many as the sampling scheme has."""
    if settings.iterations is None:
        return None
    return settings.iterations // settings.epochs * settings.accumulate * settings.batch_size


def _trainer(settings: TrainingSettings, callbacks: list[Callback]) -> pl.Trainer:
    bar = [TQDMProgressBar(leave=False)] if sys.stderr.isatty() else []
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        precision=choose_precision(settings.precision),  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        check_val_every_n_epoch=settings.validate_every,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip,
        callbacks=[*callbacks, *bar],
        enable_progress_bar=bool(bar),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        logger=False,
        deterministic="warn",
    )


def _stopping(settings: TrainingSettings, best: ModelCheckpoint) -> list[Callback]:
    if settings.keep != "best":
        return []
    if settings.patience is None:
        return [best]
    looks = math.ceil(settings.patience / settings.validate_every)
    return [best, EarlyStopping("val/score", patience=looks, mode="max")]


def _loader(images: Images, settings: TrainingSettings, sampler: EpochSampler | None) -> DataLoader:
    return DataLoader(
        images,
        batch_size=settings.batch_size,
        sampler=sampler,
        num_workers=settings.workers,
        worker_init_fn=worker_init,
        collate_fn=as_it_is,
        persistent_workers=settings.workers > 0,
        pin_memory=torch.cuda.is_available(),
        # a last batch of one image would break batch normalisation
        drop_last=sampler is not None and len(sampler) > settings.batch_size,
    )
