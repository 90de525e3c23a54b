"""Train one network on one fold: the loop that both stages share.

A stage brings an `Objective` (see experiments.training.learner); Lightning brings the loop.
Everything random is a function of (seed, epoch, image), so a run that was killed and resumed ends with the same weights as an
uninterrupted one: bit for bit on a processor, and on a GPU with `deterministic: true`.
"""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import nn
from torch.utils.data import DataLoader

from experiments import ranks
from experiments.hardware import Hardware, current
from experiments.monitoring.epoch_log import EpochLog, Speed
from experiments.networks.depthwise import DepthwiseInFloat32
from experiments.networks.inference import loader_workers
from experiments.networks.precision import choose_precision
from experiments.settings.common import TrainingSettings
from experiments.training import distributed
from experiments.training.checkpoints import Trained, trained
from experiments.training.learner import Learner, Objective
from experiments.training.optimisation import averaging, frozen
from experiments.training.seeding import Seeding
from imaging.data import device_cache
from imaging.data.dataset import Images, as_it_is, worker_init
from imaging.data.device_cache import Resident
from imaging.data.sampler import EpochSampler, Share

# Silences Lightning's hints about hardware and hubs; errors are raised.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


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
    hardware: Hardware | None = None,
) -> Trained:
    """Train `net` on `train`, validate as often as the settings say, and return the chosen checkpoint's weights.

    `resume` is a folder outside DVC's outputs; when it holds the state of an unfinished run of the same fingerprint,
    training resumes from it. The caller removes the folder once the result is safe on disk.

    Where several processes train together, each calls this and all return the same, when all are done; the first one alone
    writes and reports. See experiments.training.distributed. hardware: this machine's; tests describe another.
    """
    hardware = hardware or current()
    train, validation = (
        device_cache.place(images, *_residence(settings, hardware)) for images in (train, validation)
    )
    share = Share(ranks.rank(), ranks.count())
    sampler = _sampler(train, settings, share)
    speed = Speed()
    log = EpochLog(title, speed, report)
    best, last = _checkpoints(resume, settings)
    if share.ranks > 1 and settings.sync_batchnorm:
        net = distributed.synchronise_batch_norm(net, hardware)
    learner = Learner(net, objective, settings, hardware)
    if settings.compile:
        learner.net.compile()
    changes = [*averaging(settings, hardware.device), *frozen(settings), *(callbacks or [])]
    trainer = _trainer(
        settings, hardware, [Seeding(sampler), speed, log, *changes, *_stopping(settings, best), last]
    )
    unfinished = resume / "last.ckpt"
    if unfinished.exists():
        # loaders with workers begin on the epoch's images before Seeding sets the epoch
        sampler.set_epoch(torch.load(unfinished, weights_only=True, map_location="cpu")["epoch"] + 1)
    with _quiet():
        trainer.fit(
            learner,
            _loader(train, settings, sampler, share, hardware),
            _loader(validation, settings, None, share, hardware),
            ckpt_path=unfinished if unfinished.exists() else None,
            weights_only=True,
        )
    made = trained(learner.net, log.rows, _chosen(best, settings), each=settings.top_average == "predictions")
    trainer.strategy.barrier()  # the first process may remove the folder now
    return made


def _chosen(best: ModelCheckpoint, settings: TrainingSettings) -> dict[Path, float] | None:
    """Score of each of the best checkpoints; None: the last epoch is the result."""
    if settings.keep != "best":
        return None
    return {Path(path): float(score) for path, score in best.best_k_models.items()}


def _checkpoints(resume: Path, settings: TrainingSettings) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """The best epochs by validation, and the last one, from which a killed training resumes."""
    best = ModelCheckpoint(
        resume, "best-{epoch}", monitor="val/score", mode="max", save_top_k=settings.top, enable_version_counter=False
    )  # fmt: skip
    last = ModelCheckpoint(resume, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return best, last


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's warnings of what is intended here."""
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


def _sampler(train: Images, settings: TrainingSettings, share: Share) -> EpochSampler:
    """The order of each epoch; its length is that of `iterations`, or what the sampling scheme draws."""
    length = None
    if settings.iterations is not None:
        length = settings.iterations // settings.epochs * settings.accumulate * settings.batch_size
    return EpochSampler(
        train, settings.sampling, settings.seed, settings.epochs, length, share, settings.batch_size
    )


def _trainer(settings: TrainingSettings, hardware: Hardware, callbacks: list[Callback]) -> pl.Trainer:
    precise = choose_precision(settings.precision, hardware)
    deterministic = hardware.kind == "cpu" if settings.deterministic == "auto" else settings.deterministic
    bar = [TQDMProgressBar(leave=False)] if sys.stderr.isatty() else []
    return pl.Trainer(
        accelerator="gpu" if hardware.on_gpu else "cpu",
        devices=ranks.here(),
        num_nodes=ranks.count() // ranks.here(),
        strategy=_strategy(settings),
        use_distributed_sampler=False,  # EpochSampler and Share divide the images
        plugins=[plugin(precise, hardware)],
        max_epochs=settings.epochs,
        check_val_every_n_epoch=settings.validate_every,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip,
        callbacks=[*callbacks, *bar],
        enable_progress_bar=bool(bar),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        logger=False,
        # "warn": a few operations have no deterministic form on a GPU
        deterministic="warn" if deterministic else False,
        benchmark=hardware.kind == "cuda" and not deterministic,
    )


def plugin(precision: str, hardware: Hardware) -> Precision:
    """Lightning's precision plugin; fp16 with a gradient scaler, on a processor too (Lightning's own has none)."""
    if precision == "32-true":
        return Precision()
    kind = _OnProcessor if hardware.kind == "cpu" else MixedPrecision
    return kind(precision, hardware.device.type)  # type: ignore[arg-type]


class _OnProcessor(MixedPrecision):
    """Mixed precision with slow convolutions in float32."""

    @contextmanager
    def forward_context(self) -> Generator[None, None, None]:
        """Lightning's, with DepthwiseInFloat32 around it."""
        with super().forward_context(), DepthwiseInFloat32():
            yield


def _strategy(settings: TrainingSettings) -> str | Strategy:
    if ranks.count() == 1:
        return "auto"
    unused = settings.strategy == "ddp_find_unused_parameters_true" or settings.freeze_encoder > 0
    return DDPStrategy(
        cluster_environment=TorchElasticEnvironment(),  # reads RANK and WORLD_SIZE, of torchrun or of distributed.launch
        find_unused_parameters=unused,
        gradient_as_bucket_view=True,
    )


def _stopping(settings: TrainingSettings, best: ModelCheckpoint) -> list[Callback]:
    if settings.keep != "best":
        return []
    if settings.patience is None:
        return [best]
    validations = math.ceil(settings.patience / settings.validate_every)
    return [best, EarlyStopping("val/score", patience=validations, mode="max")]


def _residence(
    settings: TrainingSettings, hardware: Hardware
) -> tuple[bool | str, torch.device, int | None, int]:
    """Arguments of device_cache.place: the setting, the device, a GPU's free bytes, and the requested loader processes."""
    free = hardware.free_memory() if hardware.kind == "cuda" else None
    return settings.data_on_device, hardware.device, free, settings.loader_processes


def _loader(
    images: Images, settings: TrainingSettings, sampler: EpochSampler | None, share: Share, hardware: Hardware
) -> DataLoader:
    resident = isinstance(images, Resident)
    workers = 0 if resident else loader_workers(settings.workers, hardware, ranks.here())
    if workers:
        # OpenCV's threads must end before the fork: a child that sets their number would deadlock
        worker_init(0)
    everyones = share.of_all(len(images)).tolist() if share.ranks > 1 else None
    batch = settings.batch_size if sampler is not None else settings.evaluation_batch
    return DataLoader(
        images,
        batch_size=max(1, batch // share.ranks),
        sampler=everyones if sampler is None else sampler,
        num_workers=workers,
        worker_init_fn=worker_init,
        collate_fn=as_it_is,
        persistent_workers=workers > 0,
        pin_memory=hardware.on_gpu and not resident,
        # a last batch of one image would break batch normalisation
        drop_last=sampler is not None and len(sampler) > settings.batch_size // share.ranks,
    )
