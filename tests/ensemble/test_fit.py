"""The stage on generated files in the contract's form."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd
import pytest

import ensemble
from ensemble import fit
from ensemble.decision.decision import Decision
from ensemble.rules import RULES
from experiments.settings.decision import EnsembleSettings, EvaluationSettings

NAMES = {"classification": ["a", "b"], "segmentation": ["u", "v"]}
FAST = EvaluationSettings(draws=100)


@pytest.fixture
def fitted(world) -> Decision:
    """A fit in a world whose locked files are garbage: reading one of them fails."""
    for path in (world.root / "predictions").glob("*/*/holdout/*"):
        path.write_bytes(b"locked")
    return fit.run(EnsembleSettings(), FAST, NAMES)


def test_decision_and_reports_from_out_of_fold_files_alone(fitted) -> None:
    assert Decision.load() == fitted
    assert {path.stem for path in Path("models/ensemble/rules").iterdir()} == set(RULES)
    assert fitted.fitted["images"] == 120
    table = pd.read_csv("reports/ensemble/rules.csv").set_index("rule")
    assert set(table.index) == {*RULES, "(all empty)"}
    chosen = table.loc["expected_value"]
    assert chosen["score"] > table.loc["(all empty)", "score"] + 0.1
    assert chosen["low"] < chosen["score"] < chosen["high"]
    assert chosen["difference"] == 0
    assert chosen["apparent"] - chosen["score"] == pytest.approx(chosen["optimism"], abs=2e-6)
    for name in ("rules.md", "search_surface.png", "reliability.png"):
        assert Path("reports/ensemble", name).stat().st_size > 500
    points = {point.name: point for point in fitted.operating_points}
    assert list(points) == ["rule", "95 % specificity", "95 % sensitivity"]
    assert points["rule"].threshold is None
    assert points["95 % specificity"].specificity >= 0.95
    assert points["95 % sensitivity"].sensitivity >= 0.95
    first = Path("models/ensemble/decision.json").read_bytes()
    fit.run(EnsembleSettings(), FAST, NAMES)
    assert Path("models/ensemble/decision.json").read_bytes() == first


def test_best_takes_the_highest_nested_score(world) -> None:
    decision = fit.run(EnsembleSettings(rule="best"), FAST, NAMES)
    table = pd.read_csv("reports/ensemble/rules.csv")
    assert decision.rule.kind == table["rule"][table["score"].idxmax()]


def test_too_few_positives_are_said(world) -> None:
    truth = Path("data/prepared/truth.csv")
    table = pd.read_csv(truth, dtype=str)
    table.assign(EncodedPixels="-1").to_csv(truth, index=False)
    with pytest.raises(
        ValueError, match="0 with a pneumothorax: at least 2 with and 2 without one are needed"
    ):
        fit.run(EnsembleSettings(), FAST, NAMES)


def test_only_the_evaluation_names_the_locked_predictions() -> None:
    """No other module holds the word by which the locked predictions are opened, but for the check that refuses them, and for
    the comparison of two finished forms of networks and decision, the checklists' facts and the refit's lineage (there is
    no hold-out left), which fit nothing."""
    allowed = {"evaluate.py", "gather.py", "parity.py", "facts.py", "refit.py"}
    root = Path(ensemble.__file__).parent
    for path in set(root.rglob("*.py")) - set(
        (root / "validation").glob("*.py")
    ):  # reads no predictions of a run
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert "holdout" not in words or path.name in allowed, f"{path.name} names the hold-out"
