"""What do we say? From two stages' predictions to one answer for an image: calibration, rules, their fit
and their proof."""
