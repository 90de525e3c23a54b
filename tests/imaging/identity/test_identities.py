"""Pictures and patients of a training, recognised by their hashes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd

from imaging.identity import identities
from imaging.identity.duplicates import difference_hash
from imaging.identity.identities import Identities


def test_copies_are_found_and_others_not() -> None:
    random = np.random.Generator(np.random.PCG64(2))
    smooth = [
        cv2.GaussianBlur(random.integers(0, 256, (128, 128)).astype(np.uint8), (0, 0), 6) for _ in range(6)
    ]
    stretched = [cv2.normalize(one, None, 20, 235, cv2.NORM_MINMAX) for one in smooth]
    known = Identities(
        salt="s", pictures=b"".join(difference_hash(one).tobytes() for one in stretched[:4]).hex()
    )
    _, jpeg = cv2.imencode(".jpg", stretched[1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    copy = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    here = np.stack([difference_hash(one) for one in (stretched[4], copy, stretched[5], stretched[3])])
    assert identities.shared_pictures(known, here).tolist() == [False, True, False, True]
    assert not identities.shared_pictures(Identities(salt="s"), here).any()


def prepared() -> Any:
    """Four images of three patients: fold 0 has a and b, fold 1 has c and d; a and d are of one patient."""
    index = pd.DataFrame({"image_id": list("abcd"), "patient_id": ["p", "q", "image:c", "p"]})
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64)).astype(np.uint8)
    return SimpleNamespace(index=index, images=images, fingerprint="f")


def test_a_network_is_trained_on_all_folds_but_its_own() -> None:
    data = prepared()
    whole = identities.record(data, np.arange(4), [0, 0, 1, 1])
    assert len(whole.hashes) == 4
    assert identities.shared_patients(whole, data.index).tolist() == [True, True, False, True]
    network = whole.without_fold(0)
    hashes = np.stack([difference_hash(image) for image in data.images])
    assert identities.shared_pictures(network, hashes).tolist() == [False, False, True, True]
    assert identities.shared_patients(network, data.index).tolist() == [True, False, False, True]


def test_a_record_without_folds_stands_for_all_images() -> None:
    old = identities.record(prepared(), np.arange(4), [0, 0, 1, 1]).model_copy(
        update={"picture_folds": [], "patient_folds": []}
    )
    assert old.without_fold(0) == old


def test_a_patient_is_known_by_every_name() -> None:
    """The id; without the source's name; the NIH number of an image of NIH or of SIIM-ACR."""
    index = pd.DataFrame(
        {
            "image_id": ["nih-00000013_005", "ours-7", "ours-8"],
            "patient_id": ["nih:13", "ours:12", "image:ours-8"],
            "source": ["nih", "ours", "ours"],
        }
    )
    assert identities.patient_names(index) == [{"nih:13", "13", "00000013"}, {"ours:12", "12"}, set()]
