"""Typed settings: one pydantic model for each section of params.yaml, with a docstring under each field.

The sections about the data are here; `experiments.params` adds the others and validates the whole file.
A stage reads only its own section, so that it depends on nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from imaging.io.config import Settings


class SourceSettings(Settings):
    """A folder of images and its format."""

    source: Literal["phantom", "siim", "folder", "ct_ich", "table", "several"] = "phantom"
    """`phantom`: generated images, no data needed; `siim`: Kaggle's SIIM-ACR folders and CSVs; `folder`: images and mask
    pictures in folders (mmsegmentation, nnU-Net, two folders with the same file names); `ct_ich`: head CT in the format of
    PhysioNet's ct-ich; `table`: one CSV or Parquet of paths with labels, masks or boxes; `several`: those of
    `sources` together. docs/sources.md shows each."""
    folder: str = "data/phantom"
    """The source's folder; for `siim` the one that holds `dicom-images-train` and `train-rle.csv`."""
    patients: str | None = None
    """CSV with two columns, image id and patient. The data folder itself: its `patients.csv`, if there is one."""
    without_mask: Literal["unlabelled", "negative"] = "unlabelled"
    """What an image without a mask picture is, for the source `folder`: a missing mask alone does not make it negative."""
    table: str | None = None
    """For the source `table`: the CSV or Parquet file in `folder`; None: the preset's."""
    preset: (
        Literal["nih", "chexpert", "mimic", "padchest", "vindr", "candid", "ptx498", "siim_png"] | None
    ) = None
    """For the source `table`: a published data set, whose files and columns are known (imaging/sources/tables/presets)."""
    columns: dict[str, str] = Field(default_factory=dict)
    """For the source `table`: the file's column for `path`, `label`, `mask`, `boxes`, `patient_id`, `sex`, `age`, `view`,
    `split`, `image_id`, `reader`, `drain`, `spacing_mm`, `original_height` or `original_spacing_mm`, where it has another name. A
    value such as `files/{id}.png` is filled in from columns."""
    word: str | None = None
    """For the source `table`: the name of the finding in a label that lists several, such as `Effusion|Pneumothorax`."""
    uncertain: Literal["unlabelled", "positive", "negative"] = "unlabelled"
    """For the source `table`: what the label -1 is (CheXpert: uncertain)."""
    blank: Literal["unlabelled", "negative"] = "unlabelled"
    """For the source `table`: what an empty label is (CheXpert: not mentioned in the report)."""
    box_form: Literal["xywh", "xyxy"] = "xywh"
    """For the source `table`: the four numbers of a box, in pixels: left, top, width, height, or left, top, right, bottom."""

    @model_validator(mode="after")
    def _only_where_used(self) -> SourceSettings:
        used = {"without_mask": "folder"} | dict.fromkeys(
            ("table", "preset", "columns", "word", "uncertain", "blank", "box_form"), "table"
        )
        for name, source in used.items():
            value = getattr(self, name)
            if (
                value != type(self).model_fields[name].get_default(call_default_factory=True)
                and self.source != source
            ):
                raise ValueError(f"{name} {value!r} has no effect with source {self.source!r}; remove it")
        if self.source == "table" and not (self.table or self.preset):
            raise ValueError(
                "source 'table' needs table (a CSV or Parquet file) or preset (a published data set)"
            )
        return self


class NamedSource(SourceSettings):
    """One of several sources."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Its name in reports, and the prefix of its image and patient ids: `nih-00000013_005`."""
    folder: str = "."
    """The source's folder, below `data.folder`."""
    role: Literal["train", "train-only", "hold-out", "external"] = "train"
    """`train`: for the folds. `train-only`: trained on in addition to the folds, never validated or evaluated, such as
    pseudo-labelled studies (docs/pseudo-labels.md). `hold-out`: the locked hold-out, instead of a drawn one. `external`: never
    trained on; predicted and evaluated in addition to the hold-out."""
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Relative sampling rate: an epoch draws from all images of the source with the largest weight, and from the share
    weight / largest weight of every other source's images of each class, drawn anew each epoch."""

    @model_validator(mode="after")
    def _one_folder_inside(self) -> NamedSource:
        if self.source == "several":
            raise ValueError(f"source {self.name!r}: 'several' cannot be one of several")
        if Path(self.folder).is_absolute() or ".." in Path(self.folder).parts:
            raise ValueError(
                f"folder {self.folder!r} of {self.name!r} must lie below data.folder; a link there may lead elsewhere"
            )
        return self


class DataSettings(SourceSettings):
    """Where the images come from and how they are prepared."""

    image_size: int = Field(default=512, ge=32, le=2048)
    """Side S in pixels of the prepared square images."""
    refused_share: float = Field(default=0.0, ge=0, le=1)
    """The largest share of training inputs that may be refused before `prepare` fails; every refusal is listed in any case."""
    sources: list[NamedSource] = Field(default_factory=list)
    """For the source `several`: the sources to prepare together, each with a name, a role and a weight. Their folders lie
    below `folder`."""
    overlaps: Literal["exclude", "keep"] = "exclude"
    """For the source `several`: training images that show a patient of the hold-out or of an external source, by the picture
    or by the known patients, are left out of training, or kept; they are listed in rejected.csv in either case."""

    @model_validator(mode="after")
    def _sources_only_of_several(self) -> DataSettings:
        if (self.source == "several") != bool(self.sources):
            raise ValueError(
                f"sources with source {self.source!r}: source 'several' needs sources, and no other source may have them"
            )
        names = [one.name for one in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"sources {', '.join(names)}: each must have a different name")
        if self.sources and not any(one.role == "train" for one in self.sources):
            raise ValueError(f"sources {', '.join(names)}: one of them must have the role 'train'")
        if self.overlaps != "exclude" and not self.sources:
            raise ValueError(
                f"overlaps {self.overlaps!r} has no effect with source {self.source!r}; remove it"
            )
        return self


class PhantomSettings(Settings):
    """The generated images of the embedded default."""

    kind: Literal["chest", "head_ct"] = "chest"
    """`chest`: radiographs in SIIM's format; `head_ct`: head CT slices with haemorrhages in the format of ct-ich, also
    without a test set."""
    train: int = Field(default=900, ge=20)
    """Labelled images."""
    test: int = Field(default=100, ge=1)
    """Unlabelled test images."""
    prevalence: float = Field(default=0.22, ge=0, le=1)
    """Share of images with a finding; pneumothorax 0.2215 in SIIM-ACR, haemorrhage 0.127 in ct-ich."""
    difficulty: float = Field(default=0.5, ge=0, le=1)
    """0: every finding is obvious; 1: many are barely visible."""
    least_area: int = Field(default=0, ge=0, le=100_000)
    """Smallest finding in pixels at 1024 x 1024; 0: areas as in SIIM-ACR, where a quarter is below 4,100."""
    seed: int = Field(default=0, ge=0)
    """Same seed, same files, on every machine."""


class SplitSettings(Settings):
    """The locked hold-out and the folds."""

    scheme: Literal["patient", "image", "mmsegmentation"] = "patient"
    """`patient`: no patient is in two parts. `image`: as in the published solutions; it leaks, since a patient's other images
    predict the label, and every report says so. `mmsegmentation`: also by image, and the hold-out is exactly the
    validation set of mmsegmentation's medical projects; it leaks as well."""
    unknown_patients: Literal["refuse", "by_image"] = "refuse"
    """Labelled images whose patient is unknown, with scheme `patient`: `refuse` stops; `by_image` treats each as a patient of its
    own, which may leak, and every report then says `patients unknown`."""
    given: bool = True
    """Images that the source itself sets apart for validation (val.txt, images/val) become the hold-out; false: all are
    split again."""
    folds: int = Field(default=5, ge=2, le=20)
    """Number of folds."""
    holdout: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of the labelled images that only `ensemble.evaluate` sees."""
    seed: int = Field(default=0, ge=0)
    """Seed of the shuffle."""

    @model_validator(mode="after")
    def _published_division_has_no_choices(self) -> SplitSettings:
        if self.scheme == "mmsegmentation" and self.holdout != 0.2:
            raise ValueError(
                f"holdout {self.holdout} has no effect with scheme 'mmsegmentation', which always uses 0.2; remove it"
            )
        return self


class AugmentSettings(Settings):
    """Random changes of a training image; see imaging/data/augment.py."""

    preset: Literal["none", "standard", "baseline", "mmsegmentation", "cad", "winners"] = "standard"
    """`standard`: ours: flip, shift, scale, rotate, gamma, contrast, noise. Published ones, with their parameters:
    `baseline`: flip, scale, rotate, noise; `mmsegmentation`: flip, brightness, contrast; `cad`: with elastic changes, sized
    crops and CLAHE; `winners`: the first place's. Pictures: docs/figures/augmentation-presets.png."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of each group of changes of `standard`; published presets have their own."""
    engine: Literal["albumentations", "fused"] = "albumentations"
    """What makes the changes: albumentations, image by image on the CPU, or `fused`, whole batches on the device, for the
    presets `standard`, `baseline`, `mmsegmentation` and `winners`. The same distribution of changes, different draws."""

    @model_validator(mode="after")
    def _probability_only_where_used(self) -> AugmentSettings:
        if self.preset != "standard" and self.probability != 0.5:
            raise ValueError(
                f"probability {self.probability} has no effect with preset {self.preset!r}; remove it or use 'standard'"
            )
        if self.engine == "fused" and self.preset == "cad":
            raise ValueError("engine 'fused' has no preset 'cad' (CLAHE, crops); use engine 'albumentations'")
        return self


class SamplingSettings(Settings):
    """Which training images an epoch shows."""

    scheme: Literal["natural", "balanced", "sliding", "bounded", "positives"] = "balanced"
    """`natural`: every image. `balanced`: all positives and as many freshly drawn negatives as `positive_share` requires,
    each epoch. `sliding`: the share moves from `positive_share` to `last_share` over the epochs. `bounded`: each epoch draws
    from the larger class at most `difference` images more than the other has. `positives`: only positives."""
    positive_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of positives in a balanced epoch, or in the first sliding one."""
    last_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of positives in the last sliding epoch."""
    difference: int = Field(default=1000, ge=0)
    """How many more images of one class than of the other a bounded epoch may have."""
    sources: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Weights by source name that replace those of `data.sources`, such as `{nih: 1, siim: 0}` for a phase on one source. A
    source that is not named keeps its own."""
    batches: Literal["by_source", "mixed"] = "by_source"
    """For several sources. `by_source`: a batch has images of one source, so that batch normalisation does not mix their
    statistics, except an epoch's last batches, which hold the rest of each. `mixed`: batches are drawn from all."""

    @model_validator(mode="after")
    def _share_only_where_used(self) -> SamplingSettings:
        if self.scheme not in ("balanced", "sliding") and self.positive_share != 0.5:
            raise ValueError(
                f"positive_share {self.positive_share} has no effect with scheme {self.scheme!r}; "
                "remove it or use 'balanced'"
            )
        if (self.scheme == "sliding") != (self.last_share is not None):
            raise ValueError(
                f"last_share {self.last_share} with scheme {self.scheme!r}: scheme 'sliding' needs it, and no other may have it"
            )
        if self.scheme != "bounded" and self.difference != 1000:
            raise ValueError(
                f"difference {self.difference} has no effect with scheme {self.scheme!r}; remove it"
            )
        return self
