"""Combine the predictions of both stages into one decision per image: calibration, rules, their fit
and their evaluation."""

import imaging  # noqa: F401  imported first: it sets how Arrow keeps memory, before pandas loads it
