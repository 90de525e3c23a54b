"""A bundle: one folder with all that predictions need, indexed by checksums. Every command that applies networks loads one.

    bundle.json                                   name, precision of predictions, SHA-256 of every other file
    decision.json, params.yaml, metrics.json      the fitted decision, the run's settings, its measured hold-out
    training_data.json                            profile of the training data, hashes of its pictures and patients
    input_limits.json                             limits of inputs like the training data, for warnings; older bundles have none
    README.md, LICENSE                            the model card and the licence
    classification/<model>/fold<k>.safetensors    weights; the .json beside them rebuilds the network
    segmentation/<model>/fold<k>.safetensors

Nothing in it is unpickled, and no path in it leaves the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, field_validator

from ensemble.inference.predictor import Predictor
from imaging.caption import PHANTOMS
from imaging.domain import limits
from imaging.domain.limits import Domain, InputLimits
from imaging.io.config import Settings, validate
from imaging.io.files import fingerprint, read_json, sha256, write_json

PATH = "models/bundle"
INDEX = "bundle.json"
NEEDED = ("decision.json", "params.yaml", "metrics.json", "README.md", "LICENSE")


class Index(Settings):
    """bundle.json."""

    version: Literal[2] = 2
    """Version of this file's format."""
    name: str = Field(pattern=r"^pneumothorax-[A-Za-z0-9_]+-[A-Za-z0-9]+$", max_length=64)
    """Name in reports and model registries: the project, the data's source, the content."""
    fingerprints: dict[str, str]
    """Fingerprints of the prepared data (`data`) and of the decision (`decision`)."""
    precision: str = "32-true"
    """Precision of the decision's out-of-fold predictions, and so of every prediction of this bundle; `+` joins several."""
    files: dict[str, str]
    """SHA-256 of every other file, by its path inside the folder."""

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if (
                path.is_absolute()
                or set(path.parts) & {"..", "."}
                or set(name) & {"\\", ":", "\0"}
                or path.as_posix() != name
            ):
                raise ValueError(f"{name!r} is not a plain path inside the bundle")
        return files


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    folder: Path
    name: str
    sha256: str
    """SHA-256 of bundle.json, and so of everything listed in it."""
    index: Index

    @classmethod
    def load(cls, folder: str | Path = PATH) -> Bundle:
        """Verify every checksum; a ValueError names the files that are missing, changed or not listed."""
        folder = Path(folder)
        if not (folder / INDEX).is_file():
            raise ValueError(f"{folder}: no {INDEX}, so this is not a bundle; `make repro` writes one")
        index = _read_index(folder / INDEX)
        faults = _faults(folder, index.files)
        if faults:
            raise ValueError(f"{folder}: {'; '.join(faults)}. Export or copy the bundle again")
        return cls(folder, index.name, sha256(folder / INDEX), index)

    def predictor(self) -> Predictor:
        """The networks and the decision, ready to predict; ValueError when their precision is not that of the index."""
        made = Predictor.load(self.folder, self.folder / "decision.json")
        if made.precision != self.index.precision:
            raise ValueError(
                f"{self.folder / INDEX}: precision {self.index.precision}, but the decision was fitted in "
                f"{made.precision}; export again"
            )
        made.domain = self.domain
        return made

    @property
    def domain(self) -> Domain:
        """Limits that studies are checked against."""
        path = self.folder / limits.FILE
        record = InputLimits.load(path) if limits.FILE in self.index.files else None
        return Domain(self.disease == "pneumothorax", record)

    @property
    def source(self) -> str:
        """Kind of the data it was trained on: `phantom`, `siim`, `ct_ich` …"""
        return self.name.split("-")[1]

    @property
    def disease(self) -> str:
        """What it looks for."""
        return "haemorrhage" if self.source == "ct_ich" else "pneumothorax"

    @property
    def warning(self) -> str:
        """The warning given with every prediction of this bundle; empty where it was trained on radiographs."""
        return PHANTOMS if self.source == "phantom" else ""

    @property
    def no_objects(self) -> str:
        """Why no DICOM objects are written for this bundle's predictions; empty where they are."""
        if self.disease == "pneumothorax":
            return ""
        return "DICOM objects are coded as pneumothorax, which this bundle does not look for"

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """The measured hold-out: `{"kaggle_dice": {"value", "low", "high"}, …}`."""
        return dict(read_json(self.folder / "metrics.json"))


def write_index(folder: str | Path, source: str, fingerprints: dict[str, str]) -> Bundle:
    """Write bundle.json for the files in a folder, and load the bundle as a user would.

    The name holds the data's source and a fingerprint of the content: equal bundles have equal names.
    """
    folder = Path(folder)
    files = {name: sha256(folder / name) for name in sorted(_present(folder)) if name != INDEX}
    name = f"pneumothorax-{source}-{fingerprint(files)[:8]}"
    index = Index(name=name, fingerprints=fingerprints, precision=_precision(folder), files=files)
    write_json(folder / INDEX, index.model_dump(mode="json"))
    return Bundle.load(folder)


def _precision(folder: Path) -> str:
    """Precision of all networks' out-of-fold predictions, by the decision's lineage; 32-true where there is none."""
    path = folder / "decision.json"
    lineage = read_json(path).get("fitted", {}).get("lineage", {}) if path.is_file() else {}
    return "+".join(sorted({facts.get("precision", "32-true") for facts in lineage.values()})) or "32-true"


def _read_index(path: Path) -> Index:
    content: Any = read_json(path)
    if not isinstance(content, dict) or content.get("version") != 2:
        found = content.get("version") if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path}: this program reads bundles of version 2, found {found!r}; version 1 encodes maps differently. "
            "Run `dvc repro` in the folder that it comes from, or use the release that made it"
        )
    try:
        return validate(Index, content, "")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _present(folder: Path) -> set[str]:
    """All files below a folder, except names with a leading dot: .gitattributes, .cache, which nothing here reads."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return {name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)}


def _faults(folder: Path, files: dict[str, str]) -> list[str]:
    """What is wrong with a folder, one line for each kind of fault."""
    present = _present(folder) - {INDEX}
    changed = sorted(name for name in present & set(files) if sha256(folder / name) != files[name])
    missing = sorted((set(files) | set(NEEDED)) - present)
    unlisted = sorted(present - set(files))
    kinds = (("missing", missing), ("changed", changed), ("not listed", unlisted))
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds if names]
