"""Where is it? A U-Net and its relatives."""

import imaging  # noqa: F401  first of all: it says how Arrow keeps memory, before pandas asks
