"""Presets: the files and columns of published data sets, with licence, citation and known label noise; one YAML file each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from imaging.io.config import Settings, read_yaml, validate

FOLDER = Path(__file__).with_name("presets")


class Join(Settings):
    """Another table of the data set, whose columns are added to each row."""

    tables: list[str]
    """File names; the first that exists is read."""
    on: list[str]
    """Columns that both tables have."""


class BoxTable(Settings):
    """A table of boxes, one row per box."""

    tables: list[str]
    """File names; the first that exists is read. None: the data set is used without boxes."""
    image: str
    """Column of the image's name."""
    finding: str
    """Column of the finding; only rows with `word` are used."""
    box: list[str] = Field(min_length=4, max_length=4)
    """Columns of the four numbers."""
    form: Literal["xywh", "xyxy"]
    """As `data.box_form`."""


class Preset(Settings):
    """How one data set is read. The defaults are those of a table without a preset."""

    title: str = ""
    """The data set's name."""
    licence: str = ""
    """Terms of use, as the publisher words them."""
    citation: str = ""
    """What to cite."""
    noise: str = ""
    """What is known of errors in its labels."""
    tables: list[str] = Field(default_factory=list)
    """Names of the table; the first that exists below the folder is read."""
    pairs: tuple[str, str] | None = None
    """Instead of a table: endings of image and mask, `.img.png` and `.mask.png`; each pair of files is a row with `label` 1."""
    columns: dict[str, str | list[str]] = Field(default_factory=dict)
    """As `data.columns`; of a list the first column that exists."""
    extract: dict[str, str] = Field(default_factory=dict)
    """For a key of `columns`: a regular expression whose first group is the value."""
    keep: dict[str, list[str]] = Field(default_factory=dict)
    """Rows are used if these columns have one of these values; the others are listed as skipped."""
    word: str | None = None
    """As `data.word`."""
    unknown: list[str] = Field(default_factory=list)
    """Names in a list of findings that make a row unlabelled."""
    split: dict[str, str] = Field(default_factory=dict)
    """Values of the split column -> train, val or test."""
    join: list[Join] = Field(default_factory=list)
    """Other tables to be added."""
    boxes: BoxTable | None = None
    """A table of boxes."""


def load(name: str | None) -> Preset:
    """The preset of this name; the plain one for None."""
    if name is None:
        return Preset()
    path = FOLDER / f"{name}.yaml"
    return validate(Preset, read_yaml(path), str(path))
