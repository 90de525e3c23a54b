"""The stage on generated files in the contract's form."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ensemble import fit
from ensemble.decision import Decision
from ensemble.rules import RULES
from experiments.decision_settings import EnsembleSettings, EvaluationSettings

NAMES = {"classification": ["a", "b"], "segmentation": ["u", "v"]}
FAST = EvaluationSettings(draws=100)


def test_writes_decision_and_reports_from_out_of_fold_files_alone(world) -> None:
    for path in (world.root / "predictions").glob("*/*/holdout/*"):
        path.write_bytes(b"locked")  # whoever reads it fails
    decision = fit.run(EnsembleSettings(), FAST, NAMES)
    assert Decision.load() == decision
    table = pd.read_csv("reports/ensemble/rules.csv")
    assert set(table["rule"]) == {*RULES, "(all empty)"}
    empty = float(table.loc[table["rule"] == "(all empty)", "score"].iloc[0])
    chosen = table[table["rule"] == "expected_value"].iloc[0]
    assert chosen["score"] > empty + 0.1
    assert chosen["low"] < chosen["score"] < chosen["high"]
    assert chosen["difference"] == 0
    for name in ("rules.md", "plateau.png", "reliability.png"):
        assert Path("reports/ensemble", name).stat().st_size > 500
    first = Path("models/ensemble/decision.json").read_bytes()
    fit.run(EnsembleSettings(), FAST, NAMES)
    assert Path("models/ensemble/decision.json").read_bytes() == first
