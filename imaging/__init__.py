"""Radiographs and their masks: from files to arrays for training."""

import os

# With it Arrow, which stores the strings of pandas tables, returns freed memory to the rest of the program.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
