"""Stage `split`: assign patients to a locked hold-out and to folds, stratified by label and area: `python -m imaging.split`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import atomic, sha256, write_json, write_text
from imaging.preparation.holdout import check, given_folds, outside, outside_part, set_apart
from imaging.prepared import EXCLUDED, EXTERNAL, FOLDER, HOLDOUT, PatientRecord, Prepared, shared_patients
from imaging.settings import SplitSettings

AREA_QUANTILES = 4
_ATTEMPTS = 50


def main() -> None:
    """Read params.yaml and the prepared index; write folds.csv and the report."""
    run(load_section("split", SplitSettings))


def run(settings: SplitSettings, folder: str | Path = FOLDER, report: str | Path = "reports/data") -> None:
    """Write `<folder>/folds.csv` (image_id, patient_id, fold) and `<report>/folds.md`."""
    prepared = Prepared(folder)
    _check_known(prepared.patients, settings)
    labelled = prepared.index[prepared.index["label"].notna()].reset_index(drop=True)
    folds = assign_folds(labelled, settings)
    with atomic(Path(folder) / "folds.csv") as temporary:
        folds.to_csv(temporary, index=False, lineterminator="\n")
    write_json(Path(folder) / "fingerprint.json", fingerprints(Path(folder)))
    write_text(
        Path(report) / "folds.md", describe(labelled.assign(fold=folds["fold"]), settings, prepared.patients)
    )


def fingerprints(folder: Path) -> dict[str, str]:
    """Checksums of all prepared files, arrays included. The pipeline's next stage depends on this one small file, and each
    later one on a file that repeats it, so that `dvc dag` is a chain and not a star.
    """
    arrays = {name: sha256(folder / f"{name}.npy") for name in ("images", "masks")}
    return {"fingerprint": Prepared(folder).fingerprint, **arrays}


def _check_known(record: PatientRecord, settings: SplitSettings) -> None:
    if record.warning and settings.scheme == "patient" and settings.unknown_patients == "refuse":
        raise ValueError(
            f"{record.warning} (patients from: {record.source}), which may put images of one patient on both sides. Add a"
            " patients.csv (image id, patient), or accept this with split.unknown_patients: by_image"
        )


def assign_folds(labelled: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    """Assign every labelled image to the hold-out or a fold.

    labelled: image_id, patient_id, label (0/1), area_px, and, where there are any, split ('val': set apart by the source) and
    role. Returns image_id, patient_id, fold ('holdout', '0', '1', …; 'external', 'train-only' and 'excluded' by role) in the same
    order.
    The result depends only on ids, labels, areas and the seed, not on the order of the rows or the release of a library,
    since the hold-out must never move. ValueError when there are too few patients for the parts.
    """
    if (left_out := outside(labelled)).any():
        whole = labelled[["image_id", "patient_id"]].assign(fold=outside_part(labelled))
        whole.loc[~left_out, "fold"] = assign_folds(labelled[~left_out], settings)["fold"]
        return whole
    if (given := given_folds(labelled, settings)) is not None:
        return labelled[["image_id", "patient_id"]].assign(fold=given)
    names = [HOLDOUT, *map(str, range(settings.folds))]
    shares = np.array([settings.holdout] + [(1 - settings.holdout) / settings.folds] * settings.folds)
    apart = set_apart(labelled, settings)
    fold = np.full(len(labelled), HOLDOUT, object)
    if apart.any():
        check(labelled, apart, settings)
        names, shares = names[1:], shares[1:] / shares[1:].sum()
    fold[~apart] = _divide(labelled[~apart].reset_index(drop=True), names, shares, settings)
    return labelled[["image_id", "patient_id"]].assign(fold=fold)


def _divide(
    labelled: pd.DataFrame, names: list[str], shares: NDArray[np.float64], settings: SplitSettings
) -> NDArray[np.object_]:
    """Assign images to the named parts in proportion to `shares`; return the part of each image."""
    groups = labelled["patient_id" if settings.scheme == "patient" else "image_id"].to_numpy(object)
    _check_enough(labelled, groups, names)
    table = _strata(labelled).groupby(groups).sum()
    needed = _needed(table, len(names))
    for attempt in range(
        _ATTEMPTS
    ):  # the first one succeeds unless there are hardly more patients than parts
        parts = _deal(table, shares, f"{settings.seed}/{attempt}")
        if _complete(table[needed], parts, len(names)):
            part_of = dict(zip(table.index, (names[part] for part in parts), strict=True))
            return pd.Series(groups).map(part_of).to_numpy(object)
    raise ValueError(
        f"no division into {len(names)} parts gives each a positive and a negative image; lower split.folds"
        f" ({settings.folds}) or change split.holdout ({settings.holdout})"
    )


MASKED = "masked"
"""Stratum of the positives with a mask; there is none where all positives have one."""


def _needed(table: pd.DataFrame, parts: int) -> list[str]:
    """Strata of which every part needs an image; includes positives with a mask, where enough patients have one."""
    enough = MASKED in table and int((table[MASKED] > 0).sum()) >= parts
    return ["negative", "positive", *([MASKED] if enough else [])]


def _strata(labelled: pd.DataFrame) -> pd.DataFrame:
    """Count columns to balance: negatives, positives, those with a mask where not all have one, and the positives of each area
    quantile, one row an image.
    """
    positive = labelled["label"].astype(int) == 1
    masked = positive & labelled["area_px"].notna()
    quantiles = max(1, min(AREA_QUANTILES, int(masked.sum()) // 10))  # fewer would balance noise
    by_area = labelled[masked].sort_values(["area_px", "image_id"]).index
    quantile = pd.Series(np.arange(len(by_area)) * quantiles // max(1, len(by_area)), index=by_area).reindex(
        labelled.index
    )
    columns = {"negative": ~positive, "positive": positive}
    columns |= {MASKED: masked} if masked.any() and not masked.equals(positive) else {}
    columns |= {f"area{q + 1}": quantile == q for q in range(quantiles) if quantiles > 1}
    return pd.DataFrame({name: flags.astype(int) for name, flags in columns.items()}, index=labelled.index)


def _deal(table: pd.DataFrame, shares: NDArray[np.float64], salt: str) -> NDArray[np.int64]:
    """Assign groups to parts greedily: large groups first, each to the part that it brings closest to its target counts.

    The greedy rule of scikit-learn's StratifiedGroupKFold, with targets of unequal size; the cost is
    chi-square's, sum of (count - target)^2 / target, of which only the increase is computed. Returns the
    part of each row of the table.
    """
    counts = table.to_numpy(np.float64)
    target = shares[:, None] * counts.sum(axis=0)
    target = np.where(target > 0, target, 1.0)
    shuffle = [hashlib.sha256(f"{salt}/{group}".encode()).hexdigest() for group in table.index]
    # Sizes are rounded to powers of two, so that the seed also shuffles patients with many images.
    scale = np.frexp(counts[:, :2].sum(axis=1))[1]
    order = sorted(range(len(counts)), key=lambda g: (-scale[g], shuffle[g]))
    filled, parts = np.zeros_like(target), np.zeros(len(counts), np.int64)
    for g in order:
        increase = (counts[g] * (counts[g] + 2 * (filled - target)) / target).sum(axis=1)
        # Rounded, so that ties are ties on every machine; the first part wins.
        parts[g] = np.argmin(increase.round(9))
        filled[parts[g]] += counts[g]
    return parts


def _complete(table: pd.DataFrame, parts: NDArray[np.int64], number: int) -> bool:
    """Does every part have an image of each stratum of the table?"""
    sums = table.groupby(parts).sum().reindex(range(number), fill_value=0)
    return bool((sums > 0).all(axis=None))


def _check_enough(labelled: pd.DataFrame, groups: NDArray[np.object_], names: list[str]) -> None:
    """ValueError when fewer patients than parts have a positive (or a negative) image."""
    for label, word in ((1, "a positive"), (0, "a negative")):
        having = len(set(groups[(labelled["label"] == label).to_numpy(bool)]))
        if having < len(names):
            folds = len(names) - (HOLDOUT in names)
            parts = f"the hold-out and {folds} folds" if HOLDOUT in names else f"{folds} folds"
            raise ValueError(
                f"{having} patients have {word} image, but {parts}"
                f" need one each ({len(names)}); lower split.folds or add data"
            )


def describe(labelled: pd.DataFrame, settings: SplitSettings, record: PatientRecord) -> str:
    """Report in Markdown the images, patients, prevalence and median area of each part, and whether patients are shared.

    labelled: as for `assign_folds`, with the column `fold`.
    """
    inside = labelled[~outside(labelled)]
    shared = shared_patients(inside["patient_id"].to_numpy(object), inside["fold"].to_numpy(object))
    lines = [
        "# Folds",
        "",
        f"Scheme `{settings.scheme}`, {settings.folds} folds and {_holdout(labelled, settings)},"
        f" seed {settings.seed}. Only `ensemble.evaluate` reads the hold-out.",
        "",
        *_HEAD[bool(_unmasked(labelled))],
        *[
            _line(name, labelled[labelled["fold"] == name], bool(_unmasked(labelled)))
            for name in sorted(labelled["fold"].unique())
        ],
        _line("all", labelled, bool(_unmasked(labelled))),
        "",
        *_by_source(labelled),
    ]
    if shared:
        lines.append(
            f"**LEAKS: {shared:,} patients are in more than one part.** Scores of this split are comparable with"
            " published scores of splits by image, and say nothing about new patients."
        )
    elif not record.unknown:
        lines.append("No patient is in two parts.")
    if record.warning:
        lines.append(f"**Warning: {record.warning}.** Images of one patient may be in two parts.")
    return "\n".join(lines) + "\n"


def _by_source(labelled: pd.DataFrame) -> list[str]:
    """Images, positives and parts of each source; nothing for one source."""
    if "source" not in labelled:
        return []
    lines = ["| source | part | images | patients | positive | weight |", "|---|---|---:|---:|---:|---:|"]
    for (source, fold), part in labelled.groupby(["source", "fold"], sort=True):
        positive, patients = int((part["label"] == 1).sum()), part["patient_id"].nunique()
        weight = "" if fold in (HOLDOUT, EXTERNAL, EXCLUDED) else f"{part['weight'].iloc[0]:g}"
        lines.append(f"| {source} | {fold} | {len(part):,} | {patients:,} | {positive:,} | {weight} |")
    return [*lines, ""]


def _holdout(labelled: pd.DataFrame, settings: SplitSettings) -> str:
    if "given_fold" in labelled and labelled["given_fold"].notna().any():
        return "the hold-out of the run that made the pseudo-labels, whose folds are kept"
    if settings.scheme == "mmsegmentation":
        return "mmsegmentation's validation set as hold-out"
    if "role" in labelled and (labelled["role"] == "hold-out").any():
        return "the sources with the role `hold-out` as hold-out"
    if set_apart(labelled, settings).any():
        return "the source's own validation set as hold-out (`split.given`)"
    return f"a hold-out of {settings.holdout:.0%}"


_HEAD = {
    False: [
        "| part | images | patients | positive | prevalence | median area, px |",
        "|---|---:|---:|---:|---:|---:|",
    ],
    True: [
        "| part | images | patients | positive | with a mask | prevalence | median area, px |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ],
}
"""The table's head, without and with a column for positives that have a mask."""


def _unmasked(labelled: pd.DataFrame) -> int:
    return int(((labelled["label"] == 1) & labelled["area_px"].isna()).sum())


def _line(name: str, part: pd.DataFrame, masks: bool) -> str:
    """masks: say how many positives have one."""
    positive = part[part["label"] == 1]
    areas = positive["area_px"].dropna()
    area = f"{areas.median():,.0f}" if len(areas) else "–"
    patients, share = part["patient_id"].nunique(), len(positive) / len(part)
    masked = f" {len(areas):,} |" if masks else ""
    return f"| {name} | {len(part):,} | {patients:,} | {len(positive):,} |{masked} {share:.1%} | {area} |"


if __name__ == "__main__":
    command.run(main, __doc__)
