"""Apply a trained bundle: predictor, triage table, overlays, MLflow model."""
