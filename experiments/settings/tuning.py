"""The params sections of the two studies, with a docstring under each field."""

from __future__ import annotations

from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from experiments.settings.common import TrainingSettings
from experiments.settings.training import for_model
from imaging.io.config import Settings, validate


class SearchRange(Settings):
    """One setting that a study varies: `{low, high}` of a number, or `{choices}` of anything."""

    low: float | None = None
    """Smallest value."""
    high: float | None = None
    """Largest value."""
    log: bool = False
    """Draw on a logarithmic scale."""
    integer: bool = False
    """Draw whole numbers."""
    choices: list[bool | int | float | str] | None = Field(default=None, min_length=2)
    """The values themselves, in place of low and high."""

    @model_validator(mode="after")
    def _ordered(self) -> SearchRange:
        if self.choices is not None:
            if (self.low, self.high, self.log, self.integer) != (None, None, False, False):
                raise ValueError(
                    f"choices {self.choices} cannot be combined with low, high, log or integer; leave those out"
                )
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} must be above 0 on a logarithmic scale")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(
                f"low {self.low} and high {self.high} must be whole numbers with `integer: true`"
            )
        return self

    def extremes(self) -> list[Any]:
        """The values that must be valid settings so that all others are: both ends, or every choice."""
        if self.choices is not None:
            return list(self.choices)
        return [int(end) if self.integer else end for end in (self.low, self.high) if end is not None]


class TuneSettings(Settings):
    """A study: which settings, how many trials, on how small a proxy."""

    trials: int = Field(default=0, ge=0)
    """Number of trials; 0 passes the params' own values through."""
    space: dict[str, SearchRange] = Field(default_factory=dict)
    """Keys of the stage's section and their ranges."""
    sampler: Literal["tpe", "gp", "random"] = "tpe"
    """Multivariate TPE (Falkner 2018), a Gaussian process, or random search."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Stops trials that fall behind: below the median at the same epoch, or by Hyperband (Li 2018)."""
    fold: int = Field(default=0, ge=0)
    """The fold that the proxy validates on."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Settings of the stage's section that are smaller in a trial, such as epochs or image_size."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the training images that a trial sees."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sampler."""
    storage: str = "sqlite"
    """`sqlite`: a file of one worker; `journal`: a file of several workers on one machine; or a database of many machines,
    `postgresql://user@host/name`. The environment variable OPTUNA_STORAGE takes precedence."""
    heartbeat: int = Field(default=30, ge=1)
    """Seconds between a trial's heartbeats in PostgreSQL; after three missed ones another worker takes it over."""

    @model_validator(mode="after")
    def _something_to_search(self) -> TuneSettings:
        if self.trials and not self.space:
            raise ValueError(
                f"trials {self.trials} needs a `space` of settings to vary, such as "
                "`space: {lr: {low: 1.0e-4, high: 1.0e-2, log: true}}`"
            )
        return self

    @field_validator("storage")
    @classmethod
    def _known_and_without_password(cls, storage: str) -> str:
        if storage in ("sqlite", "journal"):
            return storage
        if not storage.startswith("postgresql://"):
            raise ValueError("must be sqlite, journal or postgresql://user@host/name")
        if urlsplit(storage).password is not None:
            raise ValueError(
                "contains a password, and params.yaml is in git; remove it and set PGPASSWORD, ~/.pgpass or OPTUNA_STORAGE"
            )
        return storage


T = TypeVar("T", bound=TrainingSettings)


def of_trial(section: T, study: TuneSettings, values: dict[str, Any], where: str) -> T:
    """Settings of one trial: the ensemble's first member, then the proxy's overrides, then the drawn values."""
    settings = for_model(section, section.models[0])
    return validate(type(settings), {**settings.model_dump(), **study.overrides, **values}, where)
