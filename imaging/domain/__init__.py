"""Where predictions are valid: checks of a study's header and spacing, and of how similar its picture is to the training data."""
