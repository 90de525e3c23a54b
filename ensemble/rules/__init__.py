"""The decision rules, by name. All see the same evidence and are fitted to the same out-of-fold
predictions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ensemble.rules.base import Rule
from ensemble.rules.expected_value import ExpectedValue, ExpectedValuePerImage
from ensemble.rules.gate import Gate, Quota
from ensemble.rules.triplet import GatedTriplet, Triplet
from ensemble.rules.unanimity import Unanimity

RULES: dict[str, type[Rule]] = {
    "gate": Gate,
    "quota": Quota,
    "triplet": Triplet,
    "gated_triplet": GatedTriplet,
    "unanimity": Unanimity,
    "expected_value": ExpectedValue,
    "expected_value_per_image": ExpectedValuePerImage,
}

AnyRule = Annotated[
    Gate | Quota | Triplet | GatedTriplet | Unanimity | ExpectedValue | ExpectedValuePerImage,
    Field(discriminator="kind"),
]
"""Reads a rule of unknown kind from JSON."""

__all__ = ["RULES", "AnyRule", "Rule"]
