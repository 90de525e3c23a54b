"""decision.json: everything between the networks' outputs and the prediction, as plain numbers that can be read
and checked.

Ensemble weights, calibration, rule, thresholds, post-processing, and the resolution in which areas are
counted. It is written by `ensemble.fit`, and applied in the same way by the evaluation, the submission, the command
line and the web page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from ensemble.decision.operating_points import OperatingPoint
from ensemble.decision.postprocess import PostProcessing
from ensemble.evidence.calibration import Calibrator
from ensemble.evidence.evidence import Evidence
from ensemble.evidence.histograms import NOTHING, resized
from ensemble.evidence.mask_average import Maps, MaskEnsemble
from ensemble.evidence.probability import Probability, ensemble_probability, fold_mean
from ensemble.rules import AnyRule
from ensemble.rules.base import one_image
from experiments.settings.decision import Space
from experiments.statistics.arrays import Bools, Floats, Ints
from imaging.io.config import Settings, validate
from imaging.io.files import read_json, write_json
from imaging.map_levels import ENCODING, label

FOLDER = "models/ensemble"
PATH = f"{FOLDER}/decision.json"
PROBABILITIES = "level_probabilities"
"""Key of the file under which the rule's levels are repeated as probabilities, for human readers."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    mask: bool (H, W), empty if nothing is submitted; prob: calibrated probability of a pneumothorax; raw:
    the classifier ensemble's own, or the pooled mask evidence; level: where the map was cut, 256 for no mask; skipped: ruled out
    by the classifiers, whatever a mask network might show; reason: in words; map: the mask ensemble's
    levels uint8 (H, W), None if no mask network ran; needed: the probability that the rule requires of this image,
    None where it requires none or no mask network ran."""

    mask: Bools
    prob: float
    raw: float
    level: int
    skipped: bool
    reason: str
    map: NDArray[np.uint8] | None = None
    needed: float | None = None


class Decision(Settings):
    """The fitted decision."""

    version: Literal[3] = 3
    """Version of this file's format."""
    encoding: str = ENCODING
    """Encoding of the maps that the levels belong to: imaging.map_levels."""
    classifiers: dict[str, float]
    """Weight of each classifier in the ensemble; they add up to 1. None: the mask networks see every image, and the raw
    probability is the pooled mask evidence, the mean of theirs with the weights of `masks`."""
    classifier_average: Space = "logit"
    """Where classifiers, and the fold models of each, are averaged."""
    masks: MaskEnsemble
    """The ensemble of mask models."""
    probability: Probability
    """From evidence to the calibrated probability that the rule sees."""
    calibrator: Calibrator
    """Calibrator of the raw probability alone, for images that are skipped."""
    rule: AnyRule
    """Whether to submit a mask, and at which level to cut it."""
    floor: float = Field(default=0.0, ge=0, le=1)
    """No mask is submitted below this raw classifier probability: out of fold, masks below it earned next to nothing."""
    post_processing: PostProcessing = PostProcessing()
    """Applied to a mask after it is cut."""
    operating_points: list[OperatingPoint] = Field(default_factory=list)
    """Thresholds on the probability, fixed out of fold; the first is the fitted rule's own."""
    fitted: dict[str, Any] = Field(default_factory=dict)
    """What it was fitted on: images, patients, data fingerprint, nested score."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        if encoding != ENCODING:
            raise ValueError(
                f"{encoding!r} is not {ENCODING!r}, which this release reads; fit the decision again"
            )
        return encoding

    @model_validator(mode="after")
    def _weights(self) -> Self:
        if not self.classifiers:
            return self._of_masks_alone()
        if min(self.classifiers.values()) < 0 or abs(sum(self.classifiers.values()) - 1) > 1e-6:
            raise ValueError(f"classifiers' weights {self.classifiers} must not be negative and add up to 1")
        return self

    def _of_masks_alone(self) -> Self:
        if not self.masks.weights:
            raise ValueError("neither `classifiers` nor `masks.weights` names a network")
        if self.floor:
            raise ValueError(
                f"floor {self.floor} is a classifier probability, but there are no classifiers; set it to 0"
            )
        return self

    @classmethod
    def load(cls, path: str | Path = PATH) -> Self:
        """Read and check a decision file; ValueError names the file and the key at fault."""
        content = read_json(path)
        if not isinstance(content, dict) or content.get("version") != 3:
            found = content.get("version") if isinstance(content, dict) else type(content).__name__
            raise ValueError(
                f"{path}: this program reads decisions of version 3, found {found!r}; earlier versions encode levels "
                "differently or pool probabilities from rounded maps. Run `dvc repro` again, or get a newer bundle"
            )
        stated = content.pop(PROBABILITIES, None)
        try:
            made = validate(cls, content, "")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if stated is not None and stated != made.rule.probabilities():
            raise ValueError(
                f"{path}: `{PROBABILITIES}` is {stated}, but the rule's levels are {made.rule.probabilities()}; "
                "correct one of them"
            )
        return made

    def save(self, path: str | Path = PATH) -> None:
        """Write the decision, with the rule's levels as probabilities too; equal decisions are equal files."""
        write_json(path, {**self.model_dump(mode="json"), PROBABILITIES: self.rule.probabilities()})

    @property
    def probability_models(self) -> dict[str, float]:
        """Weight of each model whose probability of the image counts: the classifiers, or without them the mask models."""
        return self.classifiers or self.masks.weights

    @property
    def probability_weights(self) -> Floats:
        """The same weights (M,), in this decision's order."""
        return np.array(list(self.probability_models.values()), np.float64)

    def lower_bound(self) -> float:
        """Raw classifier probability below which no image gets a mask, whatever its map shows, so that the map need
        not be computed.

        The larger of the floor and the bound that follows from rule and calibration: a probability never falls as
        its raw one rises, and a stacked one is taken at its largest over all possible maps. Found by bisection,
        slightly low, so that skipping changes no prediction. 0 without classifiers: every map is computed."""
        if not self.classifiers:
            return 0.0
        known, needed = max(self.floor, self.rule.least_raw()), self.rule.least_prob()
        low, high = 0.0, 1.0
        if needed <= 0 or self.probability.highest(0.0) >= needed:
            return known
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.probability.highest(middle) < needed else (low, middle)
        return max(known, low - 1e-9)

    def members(self, probs: Mapping[str, Sequence[float]]) -> Floats:
        """Each such model's probability (M,), the mean over its fold models, in this decision's order."""
        missing = sorted(set(self.probability_models) - set(probs))
        if missing:
            raise ValueError(
                f"no probability of {', '.join(missing)}; the decision was fitted with {', '.join(self.probability_models)}"
            )
        return np.array(
            [fold_mean(np.asarray(probs[name]), self.classifier_average) for name in self.probability_models]
        )

    def raw(self, probs: Mapping[str, Sequence[float]]) -> float:
        """The ensemble's probability of one image, from each model's fold probabilities."""
        return float(
            ensemble_probability(
                self.members(probs)[None], self.probability_weights, self.classifier_average
            )[0]
        )

    def skipped(self, probs: Mapping[str, Sequence[float]], shape: tuple[int, int]) -> Prediction:
        """Predict an image whose raw probability is below `lower_bound()`; needs no maps."""
        raw = self.raw(probs)
        prob = float(self.calibrator(np.array([raw]))[0])
        reason = f"{prob:.2f} by the classifier alone, which rules a mask out"
        return Prediction(np.zeros(shape, np.bool_), prob, raw, NOTHING, True, reason)

    def predict(self, probs: Mapping[str, Sequence[float]], maps: Maps, shape: tuple[int, int]) -> Prediction:
        """Predict one image from its probabilities and mask maps (each by model, over folds) and its
        (height, width). probs: of the classifiers, or without them the mask models' pooled ones."""
        raw = self.raw(probs)
        ruled_out = raw < self.lower_bound()
        if ruled_out and not maps:
            return self.skipped(probs, shape)
        level, agreement = self.masks.combine(maps)
        displayed = resized(level, shape)
        if ruled_out:
            return replace(self.skipped(probs, shape), map=displayed)
        return self.predict_from_map(self.members(probs), raw, displayed, agreement)

    def predict_from_map(
        self, members: Floats, raw: float, level: NDArray[np.uint8], agreement: float
    ) -> Prediction:
        """The same from the ensemble's map uint8 (H, W), already at the original resolution."""
        evidence = one_image(raw, level, raw, members, agreement)
        evidence = evidence.with_prob(self.probability(evidence))
        cut = int(self.thresholds(evidence)[0])
        mask = self.post_processing(level >= cut) if cut < NOTHING else np.zeros(level.shape, np.bool_)
        reason, needed = self.rule.reason(evidence), self.rule.needed(evidence)
        if cut < NOTHING and not (level >= cut).any():
            reason += f"; but no pixel reaches the mask threshold {label(cut)}"
        elif cut < NOTHING and not mask.any():
            reason += "; but post-processing removed the mask"
        return Prediction(mask, float(evidence.prob[0]), raw, cut, False, reason, level, needed)

    def seen(self, evidence: Evidence) -> Evidence:
        """Evidence (N) with its probability replaced by the one that the rule sees."""
        return evidence.with_prob(evidence.by_blocks(self.probability))

    def thresholds(self, evidence: Evidence) -> Ints:
        """Levels (N,) at which masks are cut, 256 for none, of evidence as `seen` gives it."""
        allowed = evidence.raw >= self.lower_bound()
        return np.where(allowed, evidence.by_blocks(self.rule.thresholds), NOTHING)

    def for_batch(self, evidence: Evidence) -> Self:
        """The decision for a whole batch at once (`seen` evidence): only the quota uses it."""
        return self.model_copy(update={"rule": self.rule.for_batch(evidence)})
