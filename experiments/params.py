"""The whole params.yaml, typed: what each section may hold, with a docstring under each field.

`python -m experiments.params` validates params.yaml (or the files named) and says what is wrong, one line a fault.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from experiments.decision_settings import EnsembleSettings, EvaluationSettings
from imaging.settings import (
    PARAMS_FILE,
    AugmentSettings,
    DataSettings,
    PhantomSettings,
    SamplingSettings,
    Settings,
    SplitSettings,
    read_yaml,
    validate,
)


class TrainingSettings(Settings):
    """What the two trained stages have in common."""

    models: list[str] = Field(min_length=1)
    """Names of the committee's members; each is trained on every fold. A name is a folder name."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of this section that differ for one model, by its name."""
    pretrained: Literal["none", "imagenet"] = "none"
    """Initial encoder weights; `imagenet` is fetched by timm from its hub, once."""
    image_size: int = Field(default=256, ge=32, le=2048)
    """Side in pixels of the network's input; at most data.image_size."""
    epochs: int = Field(default=10, ge=1)
    """Passes over the sampler's images."""
    batch_size: int = Field(default=16, ge=1)
    """Images a step."""
    accumulate: int = Field(default=1, ge=1)
    """Steps whose gradients are added before the optimiser moves."""
    optimiser: Literal["adam", "adamw", "radam", "sgd"] = "adamw"
    """Adam (Kingma 2015), AdamW (Loshchilov 2019), RAdam (Liu 2020), SGD with momentum .9."""
    lr: float = Field(default=1e-3, gt=0, lt=10)
    """Peak learning rate."""
    weight_decay: float = Field(default=1e-4, ge=0, lt=1)
    """Weight decay; not applied to biases and normalisation layers."""
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    """Learning rate over the steps: half cosine to zero, (1 - t)^0.9, or constant."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero."""
    gradient_clip: float | None = Field(default=1.0, gt=0)
    """Largest gradient norm; null: no clipping."""
    alpha: float = Field(default=0.3, ge=0)
    """Mixing weight of the focal term; see the stage's losses.py. NOT the class balance of the focal loss."""
    gamma: float = Field(default=2.0, ge=0)
    """Focusing exponent of the focal term (Lin 2017); 0 is cross-entropy."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between two looks at the validation fold; epochs must be a multiple, so that the last one is looked at."""
    keep: Literal["last", "best"] = "last"
    """Which epoch's weights are kept. `best` by validation chooses on the very fold that later gives the out-of-fold
    predictions and so flatters them a little."""
    patience: int | None = Field(default=None, ge=1)
    """Early stop after this many epochs without a better validation score; needs `keep: best`."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """`auto`: bf16 where the hardware multiplies it natively, fp16 on older GPUs, else fp32."""
    workers: int = Field(default=0, ge=0)
    """Loader processes; 0 is best on a CPU and with the memory-mapped data."""
    flip_tta: bool = True
    """Predict the image and its mirror image and average."""
    augment: AugmentSettings = AugmentSettings()
    """Random changes of training images."""
    sampling: SamplingSettings = SamplingSettings()
    """Which images an epoch shows."""
    seed: int = Field(default=0, ge=0)
    """Seed of initial weights, order and augmentation; fold k uses seed + k."""

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSettings:
        doubled = sorted({name for name in self.models if self.models.count(name) > 1})
        if doubled:
            raise ValueError(f"models names {', '.join(doubled)} twice; each member needs a name of its own")
        for name in self.models:
            if not name or any(sign in name for sign in "/\\:") or name.startswith("."):
                raise ValueError(
                    f"models holds {name!r}, which cannot be a folder's name; use letters, digits, - and _"
                )
        strangers = sorted(set(self.variants) - set(self.models))
        if strangers:
            raise ValueError(
                f"variants names {', '.join(strangers)}, not among models ({', '.join(self.models)})"
            )
        if self.epochs % self.validate_every:
            raise ValueError(
                f"epochs {self.epochs} must be a multiple of validate_every {self.validate_every}, or the last epoch goes unseen"
            )
        if self.patience is not None and self.keep != "best":
            raise ValueError(
                f"patience {self.patience} needs `keep: best`; with `keep: {self.keep}` set patience to null"
            )
        return self


class ClassificationSettings(TrainingSettings):
    """Is it there? A timm classifier; loss = alpha * focal(gamma) + (1 - alpha) * cross-entropy."""

    architecture: str = "resnet18"
    """Any timm model name."""
    head: Literal["plain", "localising"] = "plain"
    """`plain`: timm's own pooling and linear layer. `localising`: a logit for each cell of the last map, trained with
    the masks and pooled by log-sum-exp (Wang 2017); learns from fewer images, convolutional architectures only."""
    mask_weight: float = Field(default=1.0, ge=0)
    """Weight of the cells' loss; with head localising alone."""
    output_stride: Literal[8, 16, 32] = 32
    """Image pixels a cell's side; with head localising alone. Smaller is finer and slower."""
    alpha: float = Field(default=0.3, ge=0, le=1)
    """Share of the focal term."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the last layer."""


class SegmentationSettings(TrainingSettings):
    """Where is it? An encoder-decoder; loss = alpha * focal(gamma) - log(dice), both per image."""

    architecture: Literal["unet", "unetplusplus", "fpn", "deeplabv3plus", "plain"] = "unet"
    """segmentation-models-pytorch's Unet, UnetPlusPlus, FPN, DeepLabV3Plus; or the plain U-Net of 2015."""
    base_channels: int = Field(default=64, ge=4, le=256)
    """Channels of the first level; plain U-Net alone, 64 in its paper."""
    encoder: str = "resnet18"
    """An smp encoder name, or `tu-<timm name>`."""
    decoder_channels: list[int] | None = None
    """Channels of the five decoder blocks (unet, unetplusplus); null: smp's own."""
    attention: Literal["none", "scse"] = "none"
    """Attention in the decoder blocks (unet, unetplusplus): scSE of Roy 2018."""


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


class SubmitSettings(Settings):
    """What `python -m ensemble.submit` scores when it is called without arguments."""

    images: str | None = None
    """Folder of studies; null: the source's test folder."""
    sample: str | None = None
    """Sample submission that lists the ids; null: the source's own, when it is there."""


class Params(Settings):
    """params.yaml."""

    data: DataSettings = DataSettings()
    phantom: PhantomSettings = PhantomSettings()
    split: SplitSettings = SplitSettings()
    train_folds: list[int] = Field(min_length=1)
    """The folds that are trained; all of them for the out-of-fold predictions to cover every image."""
    classification: ClassificationSettings
    segmentation: SegmentationSettings
    tune_classification: TuneSettings = TuneSettings()
    tune_segmentation: TuneSettings = TuneSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    submit: SubmitSettings = SubmitSettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> Params:
        outside = [k for k in self.train_folds if not 0 <= k < self.split.folds]
        if outside or len(set(self.train_folds)) != len(self.train_folds):
            raise ValueError(
                f"train_folds {self.train_folds} must be different numbers from 0 to {self.split.folds - 1} (split.folds - 1)"
            )
        for stage, settings in (("classification", self.classification), ("segmentation", self.segmentation)):
            for name in settings.models:
                size = for_model(settings, name).image_size
                if size > self.data.image_size:
                    raise ValueError(
                        f"{stage}.image_size {size} of {name} is above data.image_size {self.data.image_size}; "
                        "prepare larger images or train on smaller ones"
                    )
        for stage, study, settings in (
            ("classification", self.tune_classification, self.classification),
            ("segmentation", self.tune_segmentation, self.segmentation),
        ):
            strangers = sorted((set(study.space) | set(study.overrides)) - set(type(settings).model_fields))
            if strangers:
                raise ValueError(f"tune_{stage} names {', '.join(strangers)}, which {stage} does not have")
            if study.trials and study.fold not in self.train_folds:
                raise ValueError(
                    f"tune_{stage}.fold {study.fold} is not among train_folds {self.train_folds}"
                )
        return self


T = TypeVar("T", bound=TrainingSettings)


def for_model(settings: T, name: str, tuned: dict[str, Any] | None = None) -> T:
    """Settings of one committee member: the section, then the tuned values, then the member's own variant."""
    if name not in settings.models:
        raise ValueError(f"model {name!r} is not among models: {', '.join(settings.models)}")
    merged = {**settings.model_dump(), **(tuned or {}), **settings.variants.get(name, {})}
    return validate(type(settings), merged, f"variants.{name}")


def load(path: str | Path = PARAMS_FILE) -> Params:
    """Read and validate a whole params file; a ValueError has one line for each fault."""
    return validate(Params, read_yaml(path), "")


def main() -> None:
    """Validate the files named on the command line, or params.yaml."""
    for path in sys.argv[1:] or [PARAMS_FILE]:
        try:
            load(path)
        except ValueError as error:
            sys.exit(f"{path}:\n{error}")
        print(f"{path}: valid")


if __name__ == "__main__":
    main()
