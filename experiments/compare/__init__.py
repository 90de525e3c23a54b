"""Compare experiments: `python -m experiments.compare`."""
