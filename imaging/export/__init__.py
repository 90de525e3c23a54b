"""Export the prepared data for other tools, with the same folds and hold-out."""
