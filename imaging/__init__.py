"""What do we see? Radiographs and their masks, from files to arrays that training can use."""

import os

# Arrow, which holds the texts of pandas' tables, then frees memory for the rest of the program instead of keeping it.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
