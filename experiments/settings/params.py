"""The whole params.yaml, typed: all sections, and the checks between them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from experiments.settings.decision import (
    EnsembleSettings,
    EvaluationSettings,
    PseudoLabelSettings,
    SubmitSettings,
)
from experiments.settings.training import (
    ClassificationSettings,
    SegmentationSettings,
    check_decoder,
    for_model,
    phases_of,
)
from experiments.settings.tuning import TuneSettings, of_trial
from imaging.io.config import PARAMS_FILE, Settings, read_yaml, validate
from imaging.settings import DataSettings, PhantomSettings, SplitSettings


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
    pseudo_label: PseudoLabelSettings = PseudoLabelSettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> Params:
        outside = [k for k in self.train_folds if not 0 <= k < self.split.folds]
        if outside or len(set(self.train_folds)) != len(self.train_folds):
            raise ValueError(
                f"train_folds {self.train_folds} must be different numbers from 0 to {self.split.folds - 1} (split.folds - 1)"
            )
        if not self.classification.models and not self.segmentation.models:
            raise ValueError(
                "classification.models and segmentation.models are both []; name a model in one of them"
            )
        blend = self.ensemble.mask_weights
        if blend is not None and set(blend) != set(self.segmentation.models):
            raise ValueError(
                f"ensemble.mask_weights names {', '.join(sorted(blend))}; segmentation.models has "
                f"{', '.join(sorted(self.segmentation.models))}: give each of these a weight"
            )
        for stage, settings in (("classification", self.classification), ("segmentation", self.segmentation)):
            for name in settings.models:
                check_decoder(for_model(settings, name))
                size = max(phase.image_size for phase in phases_of(for_model(settings, name)))
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
            if study.trials and not settings.models:
                raise ValueError(
                    f"tune_{stage}.trials is {study.trials}, but {stage}.models is []; set it to 0"
                )
            if not settings.models:
                continue
            if study.trials and study.fold not in self.train_folds:
                raise ValueError(
                    f"tune_{stage}.fold {study.fold} is not among train_folds {self.train_folds}"
                )
            of_trial(settings, study, {}, f"tune_{stage}.overrides")
            for key, room in study.space.items():
                for value in room.extremes():
                    check_decoder(of_trial(settings, study, {key: value}, f"tune_{stage}.space"))
        return self

    @model_validator(mode="after")
    def _encoders_are_of_classifiers(self) -> Params:
        for name in self.segmentation.models:
            source = for_model(self.segmentation, name).encoder_from
            if source is not None and source not in self.classification.models:
                raise ValueError(
                    f"segmentation.encoder_from {source} of {name} is not among classification.models "
                    f"({', '.join(self.classification.models) or 'it is []'})"
                )
        return self


def load(path: str | Path = PARAMS_FILE) -> Params:
    """Read and validate a whole params file; a ValueError has one line for each fault."""
    return validate(Params, read_yaml(path), "")
