"""Field trial: train methods at one budget, judge all of them on the same real studies.

`python -m benchmarks.field_trial --train FOLDER --real FOLDER`; protocol and results: docs/field-trial.md.
"""
