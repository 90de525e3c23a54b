"""A pneumothorax painted on real radiographs without one: images with exact masks, where nobody has drawn any.

On real films the painted air is the only thing that is not real, so networks learn where it lies from as many films as there are,
without a drawn mask. What that taught in trials: docs/field-trial.md, "Painted air".
"""
