"""From studies to prepared data: examples, patients, duplicates, hold-out, dataset card."""
