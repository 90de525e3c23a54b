"""Configuration, training, tracking, tuning and comparison of runs.

The data is medical, so nothing phones home: telemetry and update checks of the libraries are switched off before any of
them is imported. DVC's own switch is in .dvc/config.
"""

import os

import imaging  # noqa: F401  imported first: it sets how Arrow keeps memory, before pandas loads it

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# A library's pretrained weights come from the hub only when params ask for them; see experiments/networks/weights.py.
