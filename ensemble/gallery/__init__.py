"""Figures of docs/, drawn from a finished run: `python -m ensemble.gallery`."""
