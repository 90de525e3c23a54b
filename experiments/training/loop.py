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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from experiments import ranks
from experiments.monitoring.epoch_log import EpochLog, Speed, not_finite
from experiments.networks.normalisation import normalise
from experiments.networks.precision import Way, choose_precision, chosen, in_words
from experiments.settings.training import TrainingSettings
from experiments.training import distributed
from experiments.training.checkpoints import Trained, kept
from experiments.training.distributed import over_all_processes
from experiments.training.optimisation import averaging, frozen, look, make_optimiser, make_schedule
from experiments.training.seeding import Seeding
from imaging.data import augment_batch, device_cache
from imaging.data.dataset import Images, as_it_is, worker_init
from imaging.data.device_cache import Resident
from imaging.data.sampler import EpochSampler, Share

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


class Learner(pl.LightningModule):
    """A network and its objective as Lightning wants them; images come as uint8 and are normalised on the device."""

    def __init__(self, net: nn.Module, objective: Objective, settings: TrainingSettings, way: Way) -> None:
        super().__init__()
        self.net = net.to(memory_format=way.memory_format)
        self.way = way
        self.objective = objective
        self.settings = settings
        self._evidence: list[Tensor] = []

    def forward(self, image: Tensor) -> Any:
        return self.net(normalise(image).contiguous(memory_format=self.way.memory_format))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return augment_batch.changed(batch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.objective.loss(self(batch["image"]), batch)
        if loss.device.type == "cpu" and not torch.isfinite(
            loss
        ):  # on a GPU each look would wait for it: see EpochLog
            raise FloatingPointError(not_finite(self.settings, self.current_epoch, batch["row"].tolist()))
        several = ranks.count() > 1
        self.log(
            "train/loss",
            loss,
            on_step=False,
            on_epoch=True,
            batch_size=len(batch["image"]),
            sync_dist=several,
        )
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evidence.append(self.objective.evidence(self(batch["image"]), batch))

    def on_validation_epoch_end(self) -> None:
        evidence = torch.cat(self._evidence)
        self._evidence.clear()
        if ranks.count() > 1:
            images = len(self.trainer.val_dataloaders.dataset)  # type: ignore[union-attr]
            evidence = Share.in_order(distributed.all_of(evidence), images)
        summary = self.objective.summary(evidence.cpu())
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

    Where several processes train together, each calls this and all return the same, when all are done; the first one alone
    writes and reports. See experiments.training.distributed.
    """
    train, validation = (
        device_cache.place(images, settings.data_on_device, distributed.device(), settings.workers)
        for images in (train, validation)
    )
    share = Share(ranks.rank(), ranks.count())
    length = _images_an_epoch(settings)
    sampler = EpochSampler(
        train, settings.sampling, settings.seed, settings.epochs, length, share, settings.batch_size
    )
    speed = Speed()
    log = EpochLog(title, speed, report)
    best, last = _checkpoints(resume, settings)
    if share.ranks > 1 and settings.sync_batchnorm:
        net = over_all_processes(net)
    way = _way(net, objective, train, settings, resume.parent, report)
    learner = Learner(net, objective, settings, way)
    changes = [*averaging(settings), *frozen(settings)]
    trainer = _trainer(
        settings,
        way,
        [Seeding(sampler), speed, log, *changes, *(callbacks or []), *_stopping(settings, best), last],
    )
    unfinished = resume / "last.ckpt"
    if unfinished.exists():
        # loaders with workers begin on the epoch's images before Seeding hears of the epoch
        sampler.set_epoch(torch.load(unfinished, weights_only=True, map_location="cpu")["epoch"] + 1)
    with _quiet():
        trainer.fit(
            learner,
            _loader(train, settings, sampler, share),
            _loader(validation, settings, None, share),
            ckpt_path=unfinished if unfinished.exists() else None,
            weights_only=True,
        )
    paths = [Path(path) for path in best.best_k_models] if settings.keep == "best" else None
    made = kept(learner.net, log.rows, paths)
    trainer.strategy.barrier()  # the first process may remove the folder now
    return made


def _checkpoints(resume: Path, settings: TrainingSettings) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """The best epochs by validation, and the last one, from which a killed training goes on."""
    best = ModelCheckpoint(
        resume, "best-{epoch}", monitor="val/score", mode="max", save_top_k=settings.top, enable_version_counter=False
    )  # fmt: skip
    last = ModelCheckpoint(resume, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return best, last


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's warnings of what is meant here."""
    with warnings.catch_warnings():
        for message in (
            r".*treespec, LeafSpec.*",
            ".*does not have many workers.*",
            ".*Checkpoint directory.*exists and is not empty.*",
            ".*Precision bf16-mixed is not supported by the model summary.*",
            # all processes log the same validation metrics, made of all images
            ".*recommended to use `self.log.*sync_dist=True.*",
        ):
            warnings.filterwarnings("ignore", message=message)
        yield


def _images_an_epoch(settings: TrainingSettings) -> int | None:
    """Of a length in iterations: the images of its equal pieces; None: as many as the sampling scheme has."""
    if settings.iterations is None:
        return None
    return settings.iterations // settings.epochs * settings.accumulate * settings.batch_size


def _way(
    net: nn.Module,
    objective: Objective,
    train: Images,
    settings: TrainingSettings,
    memory: Path,
    report: Callable[[dict[str, float], int], None],
) -> Way:
    """How to train; several processes do not measure, since they would have to agree.

    Nor does `auto` on a processor: there a training is the same bit for bit however busy the machine is."""
    wanted = settings.precision == "measured" or (settings.precision == "auto" and torch.cuda.is_available())
    if not wanted or ranks.count() > 1:
        return Way(choose_precision(settings.precision))
    batch = augment_batch.changed(train.__getitems__(range(min(settings.batch_size, len(train)))))
    way, seconds = chosen(net, objective.loss, batch, distributed.device(), memory)
    if seconds:
        print(f"precision: {way.name}; a step takes {in_words(seconds)}", flush=True)
        report({f"precision/{name}_step_ms": 1000 * value for name, value in seconds.items()}, 0)
    return way


def _trainer(settings: TrainingSettings, way: Way, callbacks: list[Callback]) -> pl.Trainer:
    bar = [TQDMProgressBar(leave=False)] if sys.stderr.isatty() else []
    return pl.Trainer(
        accelerator="auto",
        devices=ranks.here(),
        num_nodes=ranks.count() // ranks.here(),
        strategy=_strategy(settings),
        use_distributed_sampler=False,  # ours know their share
        precision=way.precision,  # type: ignore[arg-type]
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


def _strategy(settings: TrainingSettings) -> str | Strategy:
    if ranks.count() == 1:
        return "auto"
    unused = settings.strategy == "ddp_find_unused_parameters_true" or settings.freeze_encoder > 0
    return DDPStrategy(
        cluster_environment=TorchElasticEnvironment(),  # reads what torchrun sets, and experiments.training.distributed
        find_unused_parameters=unused,
        gradient_as_bucket_view=True,
    )


def _stopping(settings: TrainingSettings, best: ModelCheckpoint) -> list[Callback]:
    if settings.keep != "best":
        return []
    if settings.patience is None:
        return [best]
    looks = math.ceil(settings.patience / settings.validate_every)
    return [best, EarlyStopping("val/score", patience=looks, mode="max")]


def _loader(
    images: Images, settings: TrainingSettings, sampler: EpochSampler | None, share: Share
) -> DataLoader:
    if settings.workers:
        # OpenCV's threads must end before the fork: a child that sets their number waits for them for ever
        worker_init(0)
    everyones = share.of_all(len(images)).tolist() if share.ranks > 1 else None
    return DataLoader(
        images,
        batch_size=settings.batch_size // share.ranks,
        sampler=everyones if sampler is None else sampler,
        num_workers=settings.workers,
        worker_init_fn=worker_init,
        collate_fn=as_it_is,
        persistent_workers=settings.workers > 0,
        pin_memory=torch.cuda.is_available() and not isinstance(images, Resident),
        # a last batch of one image would break batch normalisation
        drop_last=sampler is not None and len(sampler) > settings.batch_size // share.ranks,
    )
