"""What do we say? From two stages' predictions to one answer for an image: calibration, rules, their fit
and their proof."""

import imaging  # noqa: F401  first of all: it says how Arrow keeps memory, before pandas asks
