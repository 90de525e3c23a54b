"""The dataset card: the prepared data on one page with figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging import plotting
from imaging.io.files import write_text
from imaging.preparation import dataset_figures, interval_width
from imaging.preparation.holdout import outside
from imaging.prepared import TRAIN_ONLY, PatientRecord
from imaging.settings import DataSettings

LISTED, CATEGORIES = 20, 10
"""Rejected inputs that the card lists, and values of a fact that it lists before the rest is summarised as `other`."""


@dataclass(frozen=True)
class Dataset:
    """Content of the card. index, images, masks: as prepared. tests: number of test files. rejected: input and reason.
    patients: source of the patient ids. notes: sentences. finding: what the masks delineate. No field names a patient.
    """

    settings: DataSettings
    index: pd.DataFrame
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    tests: int
    rejected: pd.DataFrame
    patients: PatientRecord
    notes: list[str]
    finding: str = "pneumothorax"


def write(report: str | Path, data: Dataset) -> None:
    """Write dataset_card.md and its figures into `report`."""
    masked = data.index[data.index["area_px"].notna() & (data.index["mask_row"] >= 0)]
    drawn = {"class_pie.png": dataset_figures.class_pie(data.index, data.finding)}
    if len(masked):
        drawn["area_histogram.png"] = dataset_figures.area_histogram(masked)
        drawn["mask_heatmap.png"] = dataset_figures.mask_heatmap(data.masks, masked["mask_row"].to_numpy())
        drawn["overlay_sheet.png"] = dataset_figures.overlay_sheet(masked, data.images, data.masks)
    else:  # the pipeline expects the files
        drawn |= {
            name: dataset_figures.without_masks()
            for name in ("area_histogram.png", "mask_heatmap.png", "overlay_sheet.png")
        }
    for name, figure in drawn.items():
        plotting.save(figure, Path(report) / name)
    write_text(Path(report) / "dataset_card.md", text(data, list(drawn)))


def text(data: Dataset, figures: list[str]) -> str:
    """Write the card in Markdown; figures: names of files in the same folder."""
    settings, index = data.settings, data.index
    sections = [
        "# Dataset card",
        f"Source `{settings.source}`, folder `{settings.folder}`, prepared as {settings.image_size} x"
        f" {settings.image_size} px. Folds and hold-out: [folds.md](folds.md).",
        "## Classes",
        _classes(index, data.tests, data.finding),
        *[f"![{name}]({name})" for name in figures],
        *_sources(index),
        "## Masks",
        _areas(index),
        "## Patients",
        _patients(index, data.patients),
        "## Sample size",
        _sample_size(index),
        "## Images",
        _facts(index),
        "## Left out",
        _rejected(data.rejected),
        "## Notes",
        _list([*data.notes, *_copies(index)]) or "None.",
    ]
    return "\n\n".join(sections) + "\n"


def _sources(index: pd.DataFrame) -> list[str]:
    """A section with a row for each source and role; nothing for one source."""
    if "source" not in index:
        return []
    lines = [
        "| source | role | images | patients | positive | negative | unlabelled | with a mask | weight |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (source, role), part in index.groupby(["source", "role"], sort=True):
        label, masked = part["label"], int((part["area_px"] > 0).sum())
        counts = [len(part), part["patient_id"].nunique(), int((label == 1).sum()), int((label == 0).sum())]
        cells = [*counts, int(label.isna().sum()), masked]
        weight = f"{part['weight'].iloc[0]:g}" if role in ("train", TRAIN_ONLY) else ""
        lines.append(f"| {source} | {role} | {' | '.join(f'{cell:,}' for cell in cells)} | {weight} |")
    return ["## Sources", "\n".join(lines)]


def _classes(index: pd.DataFrame, tests: int, finding: str) -> str:
    label, total = index["label"], len(index)
    share = dataset_figures.pixel_share(index)
    rows = [
        (finding, int((label == 1).sum()), f"{share:.3%}" if (index["area_px"] > 0).any() else "–"),
        ("negative", int((label == 0).sum()), "–"),
    ]
    lines = [f"| {name} | {count:,} | {count / total:.1%} | {pixels} |" for name, count, pixels in rows]
    missing = int(label.isna().sum())
    unmasked = int(((label == 1) & index["area_px"].isna()).sum())
    if unmasked:
        boxes = int(((label == 1) & index["area_px"].isna() & (index["mask_row"] >= 0)).sum())
        lines.insert(1, f"| of these without a mask | {unmasked:,} | {unmasked / total:.1%} | – |")
        lines.insert(2, f"| of these with boxes | {boxes:,} | {boxes / total:.1%} | – |")
    return "\n".join(
        [
            "| split | class | images | share | masks, of the labelled images' pixels |",
            "|---|---|---:|---:|---:|",
            *[f"| train {line}" for line in lines],
            f"| train | unlabelled | {missing:,} | {missing / total:.1%} | – |",
            f"| train | all | {total:,} | 100.0% | – |",
            f"| test | unknown | {tests:,} | – | – |",
        ]
    )


def _areas(index: pd.DataFrame) -> str:
    positive = index[index["label"] == 1]
    if positive.empty:
        return "No positive image."
    positive = positive[positive["area_px"].notna()]
    if positive.empty:
        return (
            "**No positive image has a mask.** A classifier can be trained, with a gate on its probability; a segmentation"
            " network cannot, and there is no figure of masks."
        )
    area = positive["area_px"].astype(float)
    share = area / (positive["width"].astype("int64") * positive["height"])
    points = {
        "smallest": 0,
        "5 %": 0.05,
        "25 %": 0.25,
        "median": 0.5,
        "75 %": 0.75,
        "95 %": 0.95,
        "largest": 1,
    }
    lines = [f"| {name} | {area.quantile(q):,.0f} | {share.quantile(q):.3%} |" for name, q in points.items()]
    return "\n".join(["| quantile | area, px | share of the image |", "|---|---:|---:|", *lines])


def _patients(index: pd.DataFrame, record: PatientRecord) -> str:
    counts = index["patient_id"].value_counts()
    several = counts[counts > 1]
    warning = f"**Warning: {record.warning}.**\n\n" if record.warning else ""
    return (
        f"{warning}{len(counts):,} patients, from: {record.source}. {len(several):,} of them have more than one image"
        f" ({several.sum():,} images; at most {counts.max():,} of one patient)."
    )


def _sample_size(index: pd.DataFrame) -> str:
    """How wide the interval of the Kaggle Dice will be on hold-outs of three sizes, from the images that may be evaluated."""
    if not (index["area_px"] > 0).any():
        return "No image has a mask, so there will be no Dice."
    labelled = int((index["area_px"].notna() & ~outside(index)).sum())
    shares = {"10 %": 0.1, "20 %": 0.2, "all, by cross-validation": 1.0}
    lines = [f"{name}: {interval_width.sentence(round(share * labelled))}" for name, share in shares.items()]
    return "What a hold-out can show, by its share of the images whose mask is known:\n\n" + _list(lines)


def _facts(index: pd.DataFrame) -> str:
    """Tabulate the prevalence by sex, view, age, size and spacing: a classifier may learn these instead of the finding."""
    lines = ["| fact | value | images | positive of the labelled |", "|---|---|---:|---:|"]
    lines += _rows(index, "sex", index["sex"]) + _rows(index, "view", index["view"])
    ages = pd.cut(index["age"].astype("Float64").astype(float), [-1, 17, 39, 59, 79, 200])
    named = ages.cat.rename_categories(["under 18", "18–39", "40–59", "60–79", "80 and over"])
    lines += _rows(index, "age", named)
    lines += _rows(index, "size, px", index["width"].astype(str) + " x " + index["height"].astype(str))
    lines += _rows(index, "spacing, mm", _few(index["spacing_mm"].round(3)))
    return "\n".join(lines)


def _few(numbers: pd.Series) -> pd.Series:
    """Return the values themselves if there are few distinct ones, else their quartiles."""
    if numbers.nunique() <= CATEGORIES:
        return numbers.astype("Float64").astype("string")
    quarters = pd.qcut(numbers, 4, duplicates="drop")
    return quarters.cat.rename_categories([f"{q.left:g}–{q.right:g}" for q in quarters.cat.categories])


def _rows(index: pd.DataFrame, name: str, values: pd.Series) -> list[str]:
    """Return a line for each value, the most frequent first (ages in order), the rest as `other`."""
    ordered = list(values.cat.categories) if isinstance(values.dtype, pd.CategoricalDtype) else []
    values = values.astype(object).where(values.notna(), "unknown")
    counts = values.value_counts()
    common = counts.index[:CATEGORIES] if len(counts) > CATEGORIES + 1 else counts.index
    values = values.where(values.isin(common), "other")
    label = index["label"].astype("Float64")
    lines = []
    for value in sorted(values.value_counts().index, key=lambda v: ordered.index(v) if v in ordered else 99):
        known = label[values == value].dropna()
        share = f"{known.mean():.1%}" if len(known) else "–"
        lines.append(f"| {name} | {value} | {(values == value).sum():,} | {share} |")
    return lines


def _rejected(rejected: pd.DataFrame) -> str:
    if rejected.empty:
        return "Nothing."
    lines = [f"`{row.input}`: {row.reason}" for row in rejected.head(LISTED).itertuples()]
    more = f"\n\n… and {len(rejected) - LISTED:,} more." if len(rejected) > LISTED else ""
    return f"{len(rejected):,} inputs, all listed in `rejected.csv`:\n\n" + _list(lines) + more


def _copies(index: pd.DataFrame) -> list[str]:
    copies = int(index["sha256"].duplicated(keep=False).sum())
    return [f"{copies:,} files are identical to a file with another id."] if copies else []


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
