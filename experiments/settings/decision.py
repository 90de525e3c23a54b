"""Settings of the decision and of its evaluation: the sections `ensemble` and `evaluation` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from imaging.io.config import Settings

Space = Literal["logit", "probability"]
"""Where a mean of probabilities is taken."""

RuleName = Literal[
    "gate", "triplet", "quota", "gated_triplet", "unanimity", "expected_value", "expected_value_per_image"
]


class OperatingPointSettings(Settings):
    """A further operating point: exactly one of specificity, sensitivity and threshold."""

    name: str = Field(min_length=1)
    """Its name in reports and on the web page."""
    specificity: float | None = Field(default=None, gt=0, lt=1)
    """Specificity to reach out of fold."""
    sensitivity: float | None = Field(default=None, gt=0, lt=1)
    """Sensitivity to reach out of fold."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """The threshold itself, on the calibrated probability."""

    @model_validator(mode="after")
    def _exactly_one(self) -> OperatingPointSettings:
        given = [
            name for name in ("specificity", "sensitivity", "threshold") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError(
                f"operating point {self.name!r}: give exactly one of specificity, sensitivity and threshold, "
                f"found {', '.join(given) or 'none'}"
            )
        return self


class TripletSettings(Settings):
    """Published thresholds for the rule `triplet`: a mask of the pixels above `bottom`, where `area` of them are above `top`."""

    top: float = Field(gt=0, lt=1)
    """Probability that certain pixels exceed."""
    area: int = Field(ge=0)
    """Minimum number of them, in reference pixels."""
    bottom: float = Field(gt=0, lt=1)
    """Probability that the mask's pixels exceed."""

    @model_validator(mode="after")
    def _ordered(self) -> TripletSettings:
        if self.bottom > self.top:
            raise ValueError(f"bottom {self.bottom} must not be above top {self.top}")
        return self


class EnsembleSettings(Settings):
    """How the two stages' out-of-fold predictions are combined into one decision."""

    rule: Literal[RuleName, "best"] = "expected_value"
    """The rule written to decision.json; `best`: the one with the highest nested out-of-fold score."""
    triplet: TripletSettings | None = None
    """Fixed thresholds of the rule `triplet`, such as a published solution's, each at the nearest of the maps' 256 levels; null:
    fitted out of fold."""
    weights: Literal["equal", "learned"] = "learned"
    """Weights of the models in an ensemble: all equal, or learned on out-of-fold predictions."""
    mask_weights: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Fixed weights of the segmentation models by name, which add up to 1, such as a published blend; null: by `weights`. Without
    classifiers they weigh the image's probability too."""
    shrinkage: float = Field(default=0.1, ge=0)
    """Shrinkage of the learned weights towards equal ones, relative to the loss of equal weights; 0: none."""
    classifier_average: Space = "logit"
    """How classifiers, and the fold models of each, are averaged; without them the pooled probabilities of the mask models."""
    average: Literal["probability", "logit", "centred"] = "probability"
    """How masks of fold models are averaged. `centred`: after each fold's own best threshold is
    subtracted."""
    calibration: Literal["auto", "none", "temperature", "platt", "isotonic"] = "auto"
    """Calibration of the classifier ensemble, or without one of the pooled mask evidence; `auto`: the one with the lowest
    cross-fitted log loss."""
    image_score: Literal["classifier", "stacked", "auto"] = "auto"
    """The probability of a pneumothorax that the rules use: the calibrated classifier ensemble (or pooled mask evidence) alone,
    or stacked with what the masks show; `auto`: the one with the lower cross-fitted log loss."""
    cascade: bool = True
    """Whatever the rule, never submit a mask below the classifier probability under which masks earned next to nothing out of
    fold; the mask models need not run there. (Images that the rule itself excludes are skipped in any case.) Without
    classifiers nothing is skipped, and there is no such floor."""
    cascade_cost: float = Field(default=0.001, ge=0, lt=1)
    """Loss of score that the cascade may cause on images it was not fitted to, by cross-fitting; 0: give up no mask that earned
    anything. A thousandth is a third of the score's standard error on 10,000 images."""
    reference_side: int = Field(default=1024, ge=32)
    """Areas are counted in pixels of an image of this side, and rescaled to each image's own size."""
    min_component: int = Field(default=0, ge=0)
    """Connected parts of a mask smaller than this (reference pixels) are removed; 0: none."""
    fill_holes: bool = False
    """Fill holes of a mask."""
    dilate: int = Field(default=0, ge=0, le=50)
    """Grow a mask by this many reference pixels."""

    operating_points: list[OperatingPointSettings] = Field(default_factory=list)
    """Operating points beside the fitted rule, 95 % specificity and 95 % sensitivity."""

    @model_validator(mode="after")
    def _weights_are_whole(self) -> EnsembleSettings:
        if self.mask_weights is not None and abs(sum(self.mask_weights.values()) - 1) > 1e-6:
            raise ValueError(f"mask_weights {self.mask_weights} must add up to 1")
        return self

    @property
    def reference_pixels(self) -> int:
        """Pixels of the reference image."""
        return self.reference_side**2


class EvaluationSettings(Settings):
    """How the decision is measured on the hold-out."""

    draws: int = Field(default=2000, ge=100, le=100_000)
    """Bootstrap draws over patients; 2,000 determine the ends of a 95 % interval to about 2 % of its width."""
    seed: int = Field(default=0, ge=0)
    """Seed of the bootstrap."""
    bins: int = Field(default=15, ge=2, le=100)
    """Equal-width bins of the expected calibration error (15 as in Guo et al. 2017)."""
    examples: int = Field(default=4, ge=1, le=12)
    """Images in each row of the overlay sheets."""


class PseudoLabelSettings(Settings):
    """Which unlabelled studies `python -m ensemble.pseudo_label` labels, by the calibrated probability."""

    positive: float = Field(default=0.95, gt=0.5, le=1)
    """Minimum probability of a positive; the decision must draw a mask as well, where there are segmentation networks."""
    negative: float = Field(default=0.02, ge=0, lt=0.5)
    """Maximum probability of a negative, for which the decision must draw no mask."""


class SubmitSettings(Settings):
    """What `python -m ensemble.submit` scores when it is called without arguments."""

    images: str | None = None
    """Folder of studies. The data folder itself (data.folder): the source's test set."""
    sample: str | None = None
    """Sample submission that lists the ids. The data folder itself: the source's own, if there is one."""
    side: int | None = Field(default=None, ge=32, le=8192)
    """Masks are decided and encoded on squares of this side, 1024 on Kaggle; null: at each image's own size."""
    masks: bool = False
    """Also write each mask as a picture, 0 and 255, into reports/submission/masks/."""
