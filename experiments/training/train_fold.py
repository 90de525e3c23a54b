"""Train one model of the ensemble on one fold: what `classification.train` and `segmentation.train` share."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from experiments import ranks, tracking
from experiments.hardware import current
from experiments.monitoring import failures, mlflow_model
from experiments.monitoring.overlays import Overlays
from experiments.networks import earlier_run, leak_check, pretrained, refit, weights
from experiments.networks.normalisation import normalisation_of
from experiments.settings.common import PROCESSES, TrainingSettings
from experiments.settings.training import for_model, phases_of
from experiments.statistics.nested_score import patient_groups
from experiments.training import distributed, learner, phases, tuned_params
from imaging.data import augment
from imaging.data.dataset import Images
from imaging.io.files import atomic, fingerprint
from imaging.prepared import HOLDOUT, Prepared

T = TypeVar("T", bound=TrainingSettings)
Groups = NDArray[np.int64]
"""(N,) numbers of patient groups of the validation images, in their order."""
NO_RUN = nullcontext(tracking.Run(None, ""))
"""For processes that do not log."""


def arguments(stage: str) -> tuple[str, int, bool]:
    """Model name, fold and whether to refit, from the command line of `python -m <stage>.train MODEL FOLD [--refit]`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {stage}.train", description="Train one model on one fold."
    )
    parser.add_argument("model", help=f"a name from {stage}.models in params.yaml")
    parser.add_argument("fold", type=int, help="the fold to validate on; all others are trained on")
    parser.add_argument(
        "--refit",
        action="store_true",
        help="repeat a finished training with the hold-out among the training images, into models/refit (see ensemble.refit)",
    )
    given = parser.parse_args()
    return given.model, given.fold, given.refit


def training_rows(
    prepared: Prepared, fold: int, masks: bool = False, holdout: bool = False
) -> NDArray[np.int64]:
    """Rows of all folds but this one and of the images that are only trained on, sorted, and with `holdout` those of the
    hold-out; with `masks` those whose mask is known, of which some must be positive.
    """
    inside = ~prepared.folds.isin([str(fold), *([] if holdout else [HOLDOUT])])
    own = prepared.rows(prepared.folds.index[inside])
    rows = np.sort(np.concatenate([own, prepared.train_only_rows(fold)]))
    if not masks:
        return rows
    rows = rows[prepared.has_mask[rows]]
    if not (prepared.index["label"].iloc[rows] == 1).any():
        raise ValueError(
            f"fold {fold}: no positive image with a mask to train on, so no segmentation network can be trained; "
            "set segmentation.models to [] (docs/sources.md)"
        )
    return rows


def validation_rows(prepared: Prepared, fold: int, masks: bool = False) -> NDArray[np.int64]:
    """The fold's own rows; with `masks` those whose mask is known."""
    rows = prepared.fold_rows(fold)
    return rows[prepared.has_mask[rows]] if masks else rows


def code_of(stage: str) -> list[str]:
    """Fingerprints of the source files that affect a training's result: a changed line makes it another training.

    Files, logs and plots (imaging/io, experiments/monitoring and the like) do not affect it and are left out.
    """
    folders = ("imaging/data", "experiments/networks", "experiments/training", stage)
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    return [fingerprint(path) for path in [*files, Path("imaging/resize.py")]]


def datasets(
    prepared: Prepared, fold: int, settings: TrainingSettings, share: float = 1.0, holdout: bool = False
) -> tuple[Images, Images]:
    """Augmented training images of all other folds, or a random share of them, and the fold's own as they are.

    A stage that needs masks gets the images whose mask is known. holdout: train on the hold-out as well.
    """
    rows = training_rows(prepared, fold, settings.needs_masks, holdout)
    rows = np.sort(np.random.default_rng(settings.seed).permutation(rows)[: round(share * len(rows))])
    change = augment.build(settings.augment, settings.image_size)
    return (
        Images(prepared, rows, settings.image_size, change, seed=settings.seed, contrast=settings.contrast),
        Images(
            prepared,
            validation_rows(prepared, fold, settings.needs_masks),
            settings.image_size,
            None,
            seed=settings.seed,
            contrast=settings.contrast,
        ),
    )


def validation_groups(prepared: Prepared, validation: Images) -> Groups:
    """Groups of patients for the nested score of the validation images."""
    return patient_groups(prepared.index["patient_id"].to_numpy()[validation.rows])


def train(
    stage: str,
    model: str,
    fold: int,
    section: T,
    build: Callable[[T], nn.Module],
    objective: Callable[[T, Groups], learner.Objective],
    origin: Callable[[T], str | None] = lambda _: None,
    again: bool = False,
) -> None:
    """Train and write `models/<stage>/<model>/fold<k>` and its history; a killed run resumes.

    `origin` is the checksum of the weights that `build` starts from: an unfinished run with other weights is not resumed.
    again: refit a finished training, with the hold-out included, into `refit.FOLDER`. Settings that ask for several
    processes make this one their launcher; the first of them writes.
    """
    settings = for_model(section, model, tuned_params.values(stage))
    settings = settings.model_copy(update={"seed": settings.seed + fold})
    settings = earlier_run.for_fold(settings, stage, model, fold)
    try:
        if distributed.needs_launch(settings, current()):
            distributed.launch(settings.devices)
        else:
            with distributed.process_group(current()):
                _train(stage, model, fold, settings, build, objective, origin, again)
    except ChildProcessError as error:
        sys.exit(f"train_{stage} {model} fold {fold}: {error}")
    except Exception as error:
        if (words := failures.in_words(error, stage)) is None:
            raise
        sys.exit(f"train_{stage} {model} fold {fold}: {words}")


def _train(
    stage: str,
    model: str,
    fold: int,
    settings: T,
    build: Callable[[T], nn.Module],
    objective: Callable[[T, Groups], learner.Objective],
    origin: Callable[[T], str | None],
    again: bool,
) -> None:
    prepared = Prepared()
    extra = refit.facts(stage, model, fold, settings, prepared) if again else {}
    name = "refit" if again else "train"
    shared = None if again else leak_check.check(stage, settings, prepared, fold)
    torch.manual_seed(settings.seed)
    net = build(settings)
    asked = settings.model_dump(mode="json", exclude=set(PROCESSES))
    state = fingerprint(asked, prepared.fingerprint, code_of(stage), origin(settings), pretrained.origin(net))
    resume = tracking.RESUME / f"{'refit-' if again else ''}{stage}-{model}-fold{fold}-{state}"
    _, validation = datasets(prepared, fold, settings)
    groups = validation_groups(prepared, validation)
    maps = objective(settings, groups).maps
    tags = {
        "stage": f"{name}_{stage}",
        "model": model,
        "fold": str(fold),
        "data_fingerprint": prepared.fingerprint,
    }
    title = f"{name}_{stage} {model} fold {fold}"
    params = {stage: settings.model_dump(mode="json")}
    with tracking.start(title, tags, params, resume / "run.json") if ranks.first() else NO_RUN as run:
        done = phases.fit(
            net,
            settings,
            lambda phase: objective(phase, groups),
            lambda phase: datasets(prepared, fold, phase, holdout=again),
            title=title,
            resume=resume,
            report=run.metrics,
            callbacks=[
                Overlays(validation, maps, lambda picture, step: run.image(picture, "overlays", step))
            ],
        )
        if not ranks.first():
            return
        known = {"pretrained": _start(net, shared), "data": tuned_params.data(stage), **extra}
        facts = {**_facts(stage, model, fold, settings, net), "prepared_size": prepared.size, **known}
        path = weights.path_of(stage, model, fold, refit.FOLDER if again else weights.MODELS)
        weights.save(path, done.state, {**facts, "metrics": done.metrics})
        run.made(path)
        mlflow_model.log(run, path)
        with atomic(history_of(stage, model, fold, again)) as temporary:
            pd.DataFrame(done.history).to_csv(temporary, index=False)
    shutil.rmtree(resume)


def _facts(stage: str, model: str, fold: int, settings: TrainingSettings, net: nn.Module) -> dict[str, Any]:
    """Facts of the sidecar by which the network is rebuilt."""
    return {
        "stage": stage,
        "model": model,
        "fold": fold,
        "settings": phases_of(settings)[-1].model_dump(mode="json"),
        "normalisation": normalisation_of(net),
    }


def _start(net: nn.Module, shared: dict[str, object] | None) -> dict[str, object] | None:
    """Where the initial weights are from, for the sidecar; of an earlier run with what its training data share with the images
    by which this network is judged.
    """
    origin = pretrained.origin(net)
    return None if origin is None else {**origin, **({"overlap": shared} if shared else {})}


def history_of(stage: str, model: str, fold: int, again: bool = False) -> Path:
    """One row an epoch, for `dvc plots`; of a refit beside them."""
    return Path("reports/refit" if again else "reports/training") / stage / f"{model}-fold{fold}.csv"
