"""Evaluation on the hold-out: metrics, subgroups, figures, report, model card."""
