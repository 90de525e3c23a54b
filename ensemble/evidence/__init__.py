"""Network outputs as tables: histograms, features, calibrated probabilities."""
