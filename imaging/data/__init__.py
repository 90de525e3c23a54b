"""Training data: torch data set, sampler, augmentation, cache on the device."""
