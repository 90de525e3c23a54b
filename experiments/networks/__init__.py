"""Trained networks: weights on disk, normalisation, precision, inference."""
