"""The images of a trial: what is trained on, what the decision is fitted on, what is judged.

Both folders are in SIIM-ACR's form and prepared once, as the sources `simulated` (whatever is trained on beside the real studies)
and `real`. A trial differs by its folds alone:

T0, T1, T1P, T2: networks learn from four fifths of `simulated`; the last fifth (fold 0) is out of fold, and the decision is
    fitted on it; the real studies are external.
T3: they go on from T2's weights with all folds of the real studies but one, and some of `simulated`; each real study is judged by
    networks and by a decision that did not see its patient.
T4: the same from ImageNet's weights, with all of `simulated` from the beginning.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging import prepare
from imaging.io.files import atomic
from imaging.prepared import EXTERNAL, HOLDOUT, Prepared
from imaging.settings import DataSettings, NamedSource, SplitSettings
from imaging.split import assign_folds

SIMULATED, REAL = "simulated", "real"
TRIALS = {
    "T0": "phantoms alone, from random weights",
    "T1": "simulated lesions, from random weights",
    "T1P": "simulated lesions, from T0's weights",
    "T2": "simulated lesions, from ImageNet's weights",
    "T3": "T2's weights, then real studies of other patients",
    "T4": "simulated lesions and real studies of other patients together, from ImageNet's weights",
}
CROSS_FITTED = ("T3", "T4")
"""Trials that learn from real studies too."""
STARTS = {"T1P": "T0", "T3": "T2"}
"""Trials that go on from the weights of another, of the same method and seed."""
FIFTHS = 5
LEAST_PATIENTS = 10
"""Among the judged studies: an interval over fewer says nothing."""


@dataclass(frozen=True)
class Cohort:
    """One trial's images: rows of `prepared`."""

    prepared: Prepared
    folds: list[int]
    """The folds whose networks are trained."""
    fit: dict[int, NDArray[np.int64]]
    """Rows that each fold's network predicts for the decision to be fitted on."""
    judged: dict[int, NDArray[np.int64]]
    """Rows that it predicts to be judged; in T3 and T4 the same, since the decision is nested there."""


def prepared_data(train: Path, real: Path, folder: Path, size: int) -> Prepared:
    """Prepare both folders side by side, once; `folder` is kept for the next call. ValueError when it was made from others."""
    for name, path in ((SIMULATED, train), (REAL, real)):
        made = folder / "studies" / name
        if (folder / "prepared" / "index.parquet").is_file() and made.resolve() != path.resolve():
            raise ValueError(f"{folder}: made from {made.resolve()}, not from {path}; give another --output")
    if not (folder / "prepared" / "index.parquet").is_file():
        both = folder / "studies"
        both.mkdir(parents=True, exist_ok=True)
        sources = []
        for name, path in ((SIMULATED, train), (REAL, real)):
            (both / name).unlink(missing_ok=True)
            (both / name).symlink_to(path.resolve(), target_is_directory=True)
            sources.append(NamedSource(name=name, source="siim", folder=name, patients=name))
        settings = DataSettings(
            source="several", folder=str(both), image_size=size, overlaps="keep", sources=sources
        )
        try:
            prepare.run(settings, folder / "prepared", folder / "report")
        except ValueError as error:  # about the link, which the user does not know
            said = str(error)
            for name, path in ((SIMULATED, train), (REAL, real)):
                said = said.replace(str(both / name), str(path))
            raise ValueError(said) from error
    prepared = Prepared(folder / "prepared")
    _check(prepared.index[prepared.index["label"].notna()], train, real)
    return prepared


def _check(index: pd.DataFrame, train: Path, real: Path) -> None:
    """ValueError where the judged studies cannot be judged on, or networks would have seen their patients."""
    judged = index[index["source"] == REAL]
    patients = judged["patient_id"].nunique()
    if patients < LEAST_PATIENTS:
        raise ValueError(f"--real {real}: {patients} patients; intervals need at least {LEAST_PATIENTS}")
    if judged["label"].nunique() < 2:
        kind = "positive" if judged["label"].iloc[0] else "negative"
        raise ValueError(f"--real {real}: all {len(judged)} studies are {kind}; AUROC needs both kinds")
    # Preparation gives one patient to equal pictures, to films that were painted on, and to films of one NIH patient.
    learned = index[index["source"] != REAL]
    shared = learned[learned["patient_id"].isin(judged["patient_id"])]
    if len(shared):
        raise ValueError(
            f"{train}: {len(shared)} studies are of patients of --real {real}, such as {shared['image_id'].iloc[0]};"
            " networks would be judged on what they learned; remove them from one of the two"
        )


def cohort(base: Prepared, trial: str, folds: int, seed: int, fitted: int) -> Cohort:
    """The trial's cohort. folds: of the real studies, where they are cross-fitted; seed: of the division; fitted: images out of
    fold in the other trials."""
    index = base.index[base.index["label"].notna()].reset_index(drop=True)
    real = (index["source"] == REAL).to_numpy(bool)
    fold = np.full(len(index), EXTERNAL, object)
    fold[~real] = _divided(index[~real], FIFTHS, seed, "the studies to learn from")
    if trial in CROSS_FITTED:
        fold[~real & (fold == "0")] = str(FIFTHS)  # nothing is held back of the simulated ones
        fold[~real] = [f"{SIMULATED}{number}" for number in fold[~real]]
        fold[real] = _divided(index[real], folds, seed, "--folds")
    prepared = _with_folds(base, f"{trial}-{folds}-{seed}", index.assign(fold=fold))
    if trial in CROSS_FITTED:
        rows = {number: prepared.fold_rows(number) for number in range(folds)}
        return Cohort(prepared, list(rows), rows, rows)
    held_back = np.random.default_rng(seed).permutation(prepared.fold_rows(0))[:fitted]
    return Cohort(prepared, [0], {0: np.sort(held_back)}, {0: prepared.fold_rows(EXTERNAL)})


def _divided(labelled: pd.DataFrame, parts: int, seed: int, what: str) -> list[str]:
    """Parts '0', '1', … of equal size, by patient, stratified by label and area. what: is divided, for messages."""
    table = labelled.reset_index(drop=True).drop(columns=["role"])
    settings = SplitSettings(folds=parts - 1, holdout=1 / parts, seed=seed)
    try:
        found = assign_folds(table, settings)["fold"]
    except ValueError:
        of = [table.loc[table["label"] == label, "patient_id"].nunique() for label in (1, 0)]
        raise ValueError(
            f"{what}: {parts} parts each need a patient with a positive and one with a negative study, and there are"
            f" {of[0]} and {of[1]} such patients"
        ) from None
    return ["0" if name == HOLDOUT else str(int(name) + 1) for name in found]


def _with_folds(base: Prepared, name: str, table: pd.DataFrame) -> Prepared:
    """The same prepared files, linked, under other folds."""
    folder = base.folder.parent / name
    folder.mkdir(exist_ok=True)
    for path in base.folder.iterdir():
        link = folder / path.name
        if path.name != "folds.csv" and not link.exists():
            with contextlib.suppress(FileExistsError):
                link.symlink_to(path.resolve())
    with atomic(folder / "folds.csv") as temporary:  # another method may be read from it at this moment
        table[["image_id", "patient_id", "fold"]].to_csv(temporary, index=False, lineterminator="\n")
    return Prepared(folder)
