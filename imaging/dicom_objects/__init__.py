"""DICOM objects about a study: segmentation, presentation state, secondary capture and structured report.

    study = reference.read(path)                             the header that they refer to; NoReference says why there is none
    all_kinds.make(kinds, study, mask, grey, ...)            each object separately: one failure does not affect the others
    segmentation.make(study, mask, author)                   the mask itself, bit for bit (PS3.3 A.51)
    presentation_state.make(study, mask, author)             its outline, for viewers that cannot show segmentations (A.33)
    secondary_capture.make(study, grey, mask, author)        a picture with the outline drawn in, for all others (A.8)
    report.make(study, prediction, author)                   detected or not, certainty, area, side (PS3.16 TID 1500)

Needs highdicom: `pip install pneumothorax[dicom]`.
"""
