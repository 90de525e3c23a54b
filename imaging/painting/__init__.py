"""Paint a pneumothorax on real radiographs without one: images with exact masks that nobody had to draw.

Only the painted air in these films is artificial, so networks learn to locate it from as many films as there are, without a
drawn mask. Results of trials: docs/field-trial.md, "Painted air".
"""
