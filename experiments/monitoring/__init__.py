"""Reporting of trainings: epoch log, example overlays, MLflow model entries, error messages. No result depends on it."""
