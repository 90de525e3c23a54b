"""Ids of painted films (imaging.painting): `FILM-painted-N` and `FILM-decoy-N`, so that whose film it is stays known."""

from __future__ import annotations

import re

_PAINTED = re.compile(r"(.+)-(?:painted|decoy)-\d+")


def painted_id(film: str, number: int, decoy: bool) -> str:
    """The id of a film's painting."""
    return f"{film}-{'decoy' if decoy else 'painted'}-{number}"


def film_of(image_id: str) -> str:
    """The id of the film that was painted on; of any other image its own."""
    found = _PAINTED.fullmatch(image_id)
    return found[1] if found else image_id
