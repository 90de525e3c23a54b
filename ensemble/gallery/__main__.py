"""Draw the figures of docs/: `python -m ensemble.gallery [NAME ...] [--output docs/figures]`.

Without names, draw all of them. The figures in SHEETS need no run; the others use the finished run here, whose data must
be phantoms: no picture of a patient's radiograph belongs in the repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from ensemble.decision.decision import FOLDER, Decision
from ensemble.evaluation import figures
from ensemble.evaluation.report import METRICS, REPORT
from ensemble.evaluation.wording import in_words
from ensemble.evidence import predictions
from ensemble.evidence.calibration import calibration_steps
from ensemble.evidence.gather import gather
from ensemble.gallery import (
    augmentation,
    networks,
    painting,
    patients,
    phantoms,
    pipeline,
    rule_figures,
    simulation,
)
from ensemble.gallery import phantoms_head as heads
from ensemble.inference.bundle import Bundle
from ensemble.rules.expected_value import ExpectedValue
from experiments.settings.decision import EvaluationSettings
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import check_names_folder, read_json
from imaging.map_levels import PROBABILITY
from imaging.plotting import save
from imaging.preparation import dataset_figures
from imaging.prepared import Prepared
from imaging.settings import DataSettings

OUTPUT = Path("docs/figures")
DPI = 130
PICTURES = {"data-examples": 78}
"""Dots per inch of figures that are mostly radiographs, which PNG compresses little: all stay below 300 KiB."""
SHEETS: dict[str, Callable[[Path], None]] = {
    "phantom": lambda folder: phantoms.write(folder / "phantom.png"),
    "head-ct": lambda folder: heads.write(folder / "head-ct.png"),
    "augmentation": augmentation.write,
    "painting": lambda folder: painting.write(folder / "painting.png"),
}
"""Figures of generated images, which need no run."""
SIDE = 320
"""Side in pixels of the radiograph in the drawing of the cascade."""


def main() -> None:
    """Draw the figures named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m ensemble.gallery", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw (default: all)")
    parser.add_argument("--output", type=command.place, default=OUTPUT, help="folder (default: %(default)s)")
    given = parser.parse_args()
    check_names_folder(given.output)
    sheets = [name for name in SHEETS if name in (given.names or SHEETS)]
    of_run = drawings() if not given.names or set(given.names) - set(SHEETS) else {}
    if unknown := sorted(set(given.names) - set(SHEETS) - set(of_run)):
        raise ValueError(f"no figure {unknown[0]!r}; known: {', '.join([*SHEETS, *of_run])}")
    for name in tqdm(sheets, "sheets", disable=None):
        SHEETS[name](given.output)
    for name, draw in tqdm(of_run.items(), "figures", disable=None):
        if name in (given.names or of_run):
            save(draw(), given.output / f"{name}.png", dpi=PICTURES.get(name, DPI))


def drawings() -> dict[str, Callable[[], Figure]]:
    """Each figure's name and the function that draws it."""
    source = load_section("data", DataSettings).source
    if source != "phantom":
        raise ValueError(
            f"data.source is {source!r}: only phantoms may appear in docs/; run `make repro` with them first"
        )
    prepared = Prepared()
    index = prepared.index
    masks = np.stack([prepared.mask(int(row)) for row in np.flatnonzero(index["mask_row"] >= 0)])
    return {
        "pipeline": pipeline.pipeline,
        "cascade": lambda: cascade(prepared),
        "networks": both_networks,
        "data-classes": lambda: dataset_figures.class_pie(index),
        "data-people": lambda: patients.patients(index),
        "data-areas": lambda: dataset_figures.area_histogram(index),
        "data-places": lambda: dataset_figures.mask_heatmap(masks),
        "data-examples": lambda: dataset_figures.overlay_sheet(index, prepared.images, masks),
        "decision": lambda: simulation.picture(simulation.compare(20_000, 0), 3000, 0),
        "rule": lambda: rule(prepared),
        "score": score,
        "roc": roc,
        "reliability": reliability,
    }


def cascade(prepared: Prepared) -> Figure:
    """One study through the cascade: the positive hold-out image of median Dice among those with a mask."""
    table = pd.read_csv(REPORT / "per_image.csv")
    found = table[(table["label"] == 1) & table["submitted"]].sort_values("dice")
    wanted = found.iloc[len(found) // 2] if len(found) else table.iloc[0]
    square = np.asarray(prepared.images[int(prepared.rows([wanted["image_id"]])[0])])
    prediction = Bundle.load().predictor().predict([square], [(SIDE, SIDE)], cascade=False)[0]
    assert prediction.map is not None
    image = np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
    seen = np.rint(255 * PROBABILITY[prediction.map]).astype(np.uint8)
    classifiers = bool(Decision.load().classifiers)
    return pipeline.cascade(image, seen, prediction.mask, prediction.prob, prediction.needed, classifiers)


def both_networks() -> Figure:
    """The bundle's first classifier, if any, and first segmentation network."""
    predictor = Bundle.load().predictor()
    segmenter = predictor.masks[0]
    assert isinstance(segmenter.settings, SegmentationSettings)
    if not predictor.classifiers:
        return networks.networks(None, segmenter.net, segmenter.settings)
    classifier = predictor.classifiers[0]
    assert isinstance(classifier.settings, ClassificationSettings)
    return networks.networks((classifier.net, classifier.settings), segmenter.net, segmenter.settings)


def rule(prepared: Prepared) -> Figure:
    """The out-of-fold images under the expected-value rule, whichever rule was chosen."""
    decision = Decision.load(Path(FOLDER) / "rules" / "expected_value.json")
    assert isinstance(decision.rule, ExpectedValue)
    found = predictions.read("oof", list(decision.classifiers), list(decision.masks.weights))
    cases = gather(
        found,
        decision.classifiers,
        decision.masks,
        prepared,
        "out-of-fold masks",
        decision.classifier_average,
    )
    evidence = decision.seen(cases.evidence)
    some = evidence.above[:, decision.rule.level] > 0
    dice: NDArray[np.float64] = np.where(some, decision.rule.expected_dice(evidence), 0.0)
    return rule_figures.around_the_curve(dice, evidence.prob, cases.label)


def score() -> Figure:
    """Every rule's hold-out score in its parts."""
    prevalence = read_json(METRICS)["prevalence"]["value"]
    return rule_figures.decomposition(
        pd.read_csv(REPORT / "rules.csv"), prevalence, Decision.load().rule.kind
    )


def roc() -> Figure:
    """ROC curve of the hold-out."""
    label, prob = holdout()
    return figures.roc(label, prob, in_words(read_json(METRICS)["auroc"]))


def reliability() -> Figure:
    """Reliability diagram of the hold-out: the raw probability before and after calibration, and stacked with the masks."""
    table = pd.read_csv(REPORT / "per_image.csv")
    steps = calibration_steps(*(table[name].to_numpy() for name in ("raw", "calibrated", "prob")))
    bins = load_section("evaluation", EvaluationSettings).bins
    return figures.reliability(table["label"].to_numpy(bool), steps, bins)


def holdout() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Label (N,) and probability (N,) of the hold-out."""
    table = pd.read_csv(REPORT / "per_image.csv")
    return table["label"].to_numpy(bool), table["prob"].to_numpy()


if __name__ == "__main__":
    command.run(main)
