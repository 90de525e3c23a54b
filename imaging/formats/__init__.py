"""One reader for every input format: DICOM, pictures, NIfTI slices, masks, URLs."""
