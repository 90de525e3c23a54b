"""Ids of painted films (imaging.painting): `FILM-painted-N` and `FILM-decoy-N`, which keep the id of the original film."""

from __future__ import annotations

import re

_PAINTED = re.compile(r"(.+)-(?:painted|decoy)-\d+")


def painted_id(film: str, number: int, decoy: bool) -> str:
    """The id of a painting on a film."""
    return f"{film}-{'decoy' if decoy else 'painted'}-{number}"


def film_of(image_id: str) -> str:
    """The id of the film that was painted on; for any other image, its own id."""
    found = _PAINTED.fullmatch(image_id)
    return found[1] if found else image_id
