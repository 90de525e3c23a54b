"""The prepared data as other tools read it, with the same folds and the same locked hold-out."""
