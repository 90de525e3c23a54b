"""Samplers and pruners by name. A sampler draws the same values for the same trial, whichever process draws them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from experiments.settings.tuning import SearchRange, TuneSettings
from experiments.tuning.trials import position


class SeededSampler(BaseSampler):
    """Optuna's sampler of the settings, seeded for each trial by its position in the study.

    With one seed for a whole process, a study that is continued would draw its first values again.
    """

    def __init__(self, settings: TuneSettings) -> None:
        self.settings = settings

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """See BaseSampler."""
        return self._sampler(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return self._sampler(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See BaseSampler."""
        sampler = self._sampler(study, trial, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _sampler(self, study: optuna.Study, trial: FrozenTrial, key: str = "") -> BaseSampler:
        entropy = (self.settings.seed, position(study, trial), zlib.crc32(key.encode()))
        return make_sampler(self.settings, int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def make_sampler(settings: TuneSettings, seed: int) -> BaseSampler:
    """Optuna's sampler by name."""
    # A model of n dimensions needs more than n points; twice as many are a common start of a sequential design.
    startup = 2 * len(settings.space) + 2
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if settings.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True
    )


def make_pruner(settings: TuneSettings, epochs: int) -> optuna.pruners.BasePruner:
    """Optuna's pruner by name; a trial reports after the epochs 1 … `epochs`."""
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=max(epochs, 2))
    if settings.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4)
    return optuna.pruners.NopPruner()


def suggest(trial: optuna.Trial, space: dict[str, SearchRange]) -> dict[str, Any]:
    """A trial's values by key: those that it already has, and the rest newly drawn."""
    return {key: _draw(trial, key, room) for key, room in space.items()}


def _draw(trial: optuna.Trial, key: str, room: SearchRange) -> Any:
    if room.choices is not None:
        return trial.suggest_categorical(key, room.choices)
    assert room.low is not None
    assert room.high is not None
    if room.integer:
        return trial.suggest_int(key, int(room.low), int(room.high), log=room.log)
    return trial.suggest_float(key, room.low, room.high, log=room.log)
