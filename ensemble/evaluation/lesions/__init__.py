"""Measures of masks as a reader sees them: contours in millimetres, lesions found, side, size."""
