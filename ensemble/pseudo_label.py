"""Label unlabelled studies with a finished run's networks where these are certain, as training data for the next run.

    python -m ensemble.pseudo_label FOLDER --output data/studies/pseudo

Each study is labelled by the networks of one fold, which have seen no label of that fold, and may later train the network of the
same fold alone: so neither the hold-out nor an out-of-fold score of the next run learns from itself. OUTPUT becomes a source for
data.sources with the role `train-only`: see docs/pseudo-labels.md. Thresholds: the section pseudo_label of params.yaml.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections import Counter
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from ensemble.decision.decision import PATH, Decision, Prediction
from ensemble.inference.inputs import Inputs, by_id, find
from ensemble.inference.output import check_folder
from ensemble.inference.predictor import Predictor
from experiments.settings.decision import PseudoLabelSettings
from imaging import rle
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import atomic_folder, check_names_folder, sha256, write_json
from imaging.io.tables import write_csv
from imaging.prepared import Prepared
from imaging.sources.pseudo_labels import FOLDS, ORIGIN, TABLE

STUDIES = "studies"
"""Link in the output to the folder of studies."""
COLUMNS = ["image_id", "path", "label", "mask", "fold", "prob"]


def main() -> None:
    """Label the studies of the folder named on the command line."""
    given = _arguments()
    settings = load_section("pseudo_label", PseudoLabelSettings)
    check_folder(given.output, mark=ORIGIN)
    prepared, predictor = Prepared(), Predictor.load()
    if predictor.decision.fitted["data_fingerprint"] != prepared.fingerprint:
        raise ValueError(f"{PATH}: not fitted on the data now in data/prepared; run `dvc repro` first")
    table, counts = label(find(given.folder, given.output), predictor, settings)
    if table.empty:
        raise ValueError(
            f"{given.folder}: no study is certain ({counts['uncertain']} lie between pseudo_label.negative "
            f"{settings.negative} and positive {settings.positive}, {counts['refused']} were refused); nothing was "
            "written"
        )
    with atomic_folder(given.output, mark=ORIGIN) as folder:
        os.symlink(given.folder.resolve(), folder / STUDIES)
        write_csv(folder / TABLE, table)
        write_csv(folder / FOLDS, prepared.folds.rename_axis("image_id").reset_index(name="fold"))
        write_json(folder / ORIGIN, origin(counts, predictor.decision, settings))
    print(
        f"{counts['positive']} positive, {counts['negative']} negative, {counts['uncertain']} uncertain, "
        f"{counts['refused']} refused. Written: {given.output}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.pseudo_label",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=command.place, help="a folder of unlabelled studies, at any depth")
    parser.add_argument(
        "--output",
        type=command.place,
        required=True,
        help="the folder to write, below the next run's data.folder",
    )
    given = parser.parse_args()
    check_names_folder(given.folder)
    if not given.folder.is_dir():
        raise ValueError(f"{given.folder}: no such folder")
    return given


def label(
    found: Inputs, predictor: Predictor, settings: PseudoLabelSettings
) -> tuple[pd.DataFrame, Counter[str]]:
    """COLUMNS and decision, one row for each study that its fold's networks are certain of; and counts of all studies."""
    files = {path: name for name, path in by_id(found, "FOLDER").items() if path is not None}
    counts: Counter[str] = Counter()
    rows = []
    for fold, alone in by_fold(predictor).items():
        own = [path for path, name in files.items() if fold_of(name, predictor.decision) == fold]
        for scored in tqdm(alone.files(own), f"fold {fold}", len(own), disable=None, unit="image"):
            if scored.prediction is None:
                counts["refused"] += 1
                continue
            verdict = certain(scored.prediction, settings, bool(predictor.decision.masks.weights))
            counts[verdict] += 1
            if verdict == "uncertain":
                continue
            mask, path = scored.prediction.mask, Path(STUDIES, found.name(scored.path)).as_posix()
            code = rle.encode(mask) if mask.any() else ""
            name, positive = files[scored.path], int(verdict == "positive")
            rows.append((name, path, positive, code, fold, round(scored.prediction.prob, 6)))
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values("image_id", ignore_index=True)
    return table.assign(decision=sha256(PATH)[:12]), counts


def certain(prediction: Prediction, settings: PseudoLabelSettings, has_masks: bool) -> str:
    """`positive`, `negative` or `uncertain`: the probability and the decision's mask must agree."""
    drawn = bool(prediction.mask.any())
    if prediction.prob >= settings.positive and (drawn or not has_masks):
        return "positive"
    if prediction.prob <= settings.negative and not drawn:
        return "negative"
    return "uncertain"


def fold_of(image_id: str, decision: Decision) -> int:
    """The fold whose networks label an image and which it may train: chosen by its id, so that a second call agrees."""
    folds = decision.fitted["folds"]
    return int(folds[int(hashlib.sha256(image_id.encode()).hexdigest(), 16) % len(folds)])


def by_fold(predictor: Predictor) -> dict[int, Predictor]:
    """For each fold the same decision with the networks of that fold alone, as in the out-of-fold predictions."""

    def alone(fold: int) -> Predictor:
        classifiers, masks = (
            [member for member in members if member.fold == fold]
            for members in (predictor.classifiers, predictor.masks)
        )
        return Predictor(predictor.decision, classifiers, masks, predictor.side)

    return {int(fold): alone(int(fold)) for fold in predictor.decision.fitted["folds"]}


def origin(counts: Counter[str], decision: Decision, settings: PseudoLabelSettings) -> dict[str, object]:
    """The provenance of the labels, for ORIGIN."""
    return {
        "decision_sha256": sha256(PATH),
        "data_fingerprint": decision.fitted["data_fingerprint"],
        "networks": {name: facts["weights"] for name, facts in decision.fitted["lineage"].items()},
        "thresholds": settings.model_dump(),
        "studies": dict(counts),
    }


if __name__ == "__main__":
    command.run(main)
