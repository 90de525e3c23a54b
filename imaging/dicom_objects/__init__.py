"""DICOM objects about a study: a segmentation, a presentation state and a secondary capture that point back at it.

    study = source.read(path)                                a header that can be pointed at, or NoReference says why not
    segmentation.make(study, mask, author)                   the mask itself, bit for bit (PS3.3 A.51)
    presentation.make(study, mask, author)                   its outline over the study, for viewers without segmentations (A.33)
    capture.make(study, pixels, mask, author)                a picture with the outline drawn in, for all others (A.8)

Needs highdicom: `pip install pneumothorax[dicom]`.
"""
