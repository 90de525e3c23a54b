"""Predictions for large archives on a Ray cluster."""
