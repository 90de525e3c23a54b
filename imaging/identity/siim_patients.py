"""The patients of SIIM-ACR Pneumothorax: a built-in table of 12,047 image ids and 6,171 patients.

Kaggle's files do not contain them: each has a PatientID of its own. The images come from NIH ChestX-ray14 (Wang et al., CVPR
2017), and the competition's hosts published which NIH image each is; a patient is named by its number there. Ids are kept as
the first 48 bits of their SHA-256: an id of another data set matches one of them with a probability of 4e-11.
`python -m benchmarks.siim_patients` builds the table.
"""

from __future__ import annotations

import csv
import hashlib
from functools import cache
from pathlib import Path

SOURCE = "the built-in table of SIIM-ACR's ids"
TABLE = Path(__file__).with_name("siim_patients.csv")
SHA256 = "794bc815e670b137dfd2d97d27bd2a629f5f87e7a24d3a66d9b8c1eea19e962c"


def patient_of(image_id: str) -> str | None:
    """The NIH patient of a SIIM-ACR image id, eight digits such as `00028864`; None for any other id."""
    return table().get(hashed(image_id))


@cache
def table() -> dict[str, str]:
    """Hashed image id -> patient; ValueError when the file is not the one that was checked."""
    content = TABLE.read_bytes().replace(b"\r\n", b"\n")
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{TABLE}: damaged or changed; restore it from the repository")
    _, *rows = csv.reader(content.decode().splitlines())
    return {key: f"{int(patient):08d}" for key, patient in rows}


def hashed(image_id: str) -> str:
    """The key of an image id in the table: twelve hex digits."""
    return hashlib.sha256(image_id.encode("utf-8", "surrogateescape")).hexdigest()[:12]
