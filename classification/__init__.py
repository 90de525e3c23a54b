"""Is it there? A timm classifier."""

import imaging  # noqa: F401  first of all: it says how Arrow keeps memory, before pandas asks
