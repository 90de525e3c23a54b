"""Results of an external validation, as the report states them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.evaluation.holdout_metrics import Measured
from ensemble.evaluation.wording import LABEL_ONLY, POOLED, PROBABILITIES
from ensemble.inference.bundle import Bundle
from ensemble.validation.dataset import External
from ensemble.validation.profile import Profile


@dataclass
class Results:
    """What the report states; what was not done or is not known is None.

    tubes, tube_aurocs: of `measures.by_tube` and `measures.auroc_by_tube`. lesions: the report's section."""

    bundle: Bundle
    decision: Decision
    external: External
    command: str
    table: pd.DataFrame
    measured: Measured
    drop: pd.DataFrame
    points: pd.DataFrame
    groups: pd.DataFrame
    tubes: pd.DataFrame | None = None
    tube_aurocs: pd.DataFrame | None = None
    lesions: list[str] = field(default_factory=list)
    differences: pd.DataFrame | None = None
    profiles: tuple[Profile, Profile] | None = None
    leaks: list[str] = field(default_factory=list)
    recalibration: pd.DataFrame | None = None
    recalibrated: str = ""

    @property
    def has_masks(self) -> bool:
        """Whether the bundle draws masks."""
        return bool(self.decision.masks.weights)

    @property
    def masks_known(self) -> bool:
        """Whether masks were drawn and some positive image has one to compare with."""
        return bool(self.table.loc[self.table["label"] == 1, "dice"].notna().any())

    @property
    def probabilities(self) -> dict[str, str]:
        """Suffix of a measure's name -> which probability it measures."""
        if not self.has_masks:
            return LABEL_ONLY
        return PROBABILITIES if self.decision.classifiers else POOLED
