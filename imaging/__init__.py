"""Radiographs and their masks: from files to arrays for training."""

import os

# Arrow, which holds the texts of pandas' tables, then frees memory for the rest of the program instead of keeping it.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
