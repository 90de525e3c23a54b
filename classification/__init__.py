"""The image classifier: model, losses, objective; train, predict, tune."""

import imaging  # noqa: F401  imported first: it sets how Arrow keeps memory, before pandas loads it
