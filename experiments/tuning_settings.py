"""The params sections of the two studies, with a docstring under each field."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from imaging.settings import Settings


class SearchRange(Settings):
    """One number that a study varies."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Draw on a logarithmic scale."""

    @model_validator(mode="after")
    def _ordered(self) -> SearchRange:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} must be above 0 on a logarithmic scale")
        return self


class TuneSettings(Settings):
    """A study: which numbers, how many trials, on how small a proxy."""

    trials: int = Field(default=0, ge=0)
    """Number of trials; 0 passes the params' own values through."""
    space: dict[str, SearchRange] = Field(default_factory=dict)
    """Keys of the stage's section and their ranges."""
    sampler: Literal["tpe", "random", "cmaes"] = "tpe"
    """Optuna's sampler; TPE is multivariate (Falkner 2018)."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Stops trials that fall behind."""
    fold: int = Field(default=0, ge=0)
    """The fold that the proxy validates on."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Settings of the stage's section that are smaller in a trial, such as epochs or image_size."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the training images that a trial sees."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sampler."""
