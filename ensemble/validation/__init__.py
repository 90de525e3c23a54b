"""External validation: a bundle measured on labelled images that it was not trained on."""
