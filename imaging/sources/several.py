"""Source `several`: the studies of several sources together, with the names of their sources in their ids.

Image ids become `<source>-<id>`, so that two sources may use the same id. Images and patients that are the same under different
names are found after reading: see imaging.identity.overlaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from imaging.settings import DataSettings, NamedSource, SourceSettings
from imaging.sources import pseudo_labels
from imaging.sources.listing import Listing


def settings_of(one: NamedSource, settings: DataSettings) -> DataSettings:
    """Settings that list only one of the sources."""
    own = {name: getattr(one, name) for name in SourceSettings.model_fields}
    folder = Path(settings.folder)
    own["folder"] = str(folder / one.folder)
    own["patients"] = None if one.patients is None else str(folder / one.patients)
    return DataSettings(**own)


def united(sources: Sequence[NamedSource], listings: Sequence[Listing], folder: str | Path) -> Listing:
    """One listing of all, whose folders lie below `folder`; ValueError when they have different findings."""
    findings = {one.name: listing.finding for one, listing in zip(sources, listings, strict=True)}
    if len(set(findings.values())) > 1:
        listed = ", ".join(f"{name}: {finding}" for name, finding in findings.items())
        raise ValueError(f"data.sources have different findings ({listed}); prepare them separately")
    named = [_named(one, listing.records) for one, listing in zip(sources, listings, strict=True)]
    origins = [
        records[["image_id"]].assign(
            source=one.name, role=one.role, weight=one.weight, listed_by=listing.patients
        )
        for one, listing, records in zip(sources, listings, named, strict=True)
    ]
    together, told = _with_pseudo_labels(sources, pd.concat(origins).set_index("image_id"), Path(folder))
    return Listing(
        records=pd.concat(named).sort_values(["split", "image_id"], ignore_index=True),
        rejected=pd.concat([one.rejected for one in listings], ignore_index=True),
        skipped=pd.concat([one.skipped for one in listings], ignore_index=True),
        notes=[
            f"{one.name}: {note}"
            for one, listing in zip(sources, listings, strict=True)
            for note in listing.notes
        ]
        + told,
        patients="; ".join(
            f"{one.name}: {listing.patients}" for one, listing in zip(sources, listings, strict=True)
        ),
        certain=all(one.certain for one in listings),
        finding=listings[0].finding,
        origins=together,
    )


def _with_pseudo_labels(
    sources: Sequence[NamedSource], origins: pd.DataFrame, folder: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Origins with the folds that pseudo-labels are tied to, and notes; ValueError where their role is not `train-only`."""
    notes = []
    for one in sources:
        found = pseudo_labels.read(folder / one.folder)
        if found is None:
            continue
        if one.role != "train-only":
            raise ValueError(
                f"source {one.name!r}: its labels are a network's predictions, which must not be used to validate or evaluate; "
                "set its role to train-only"
            )
        origins = pseudo_labels.with_origin(origins, one.name, found)
        notes.append(f"{one.name}: {found.note}")
    return origins, notes


def _named(one: NamedSource, records: pd.DataFrame) -> pd.DataFrame:
    """Records with image ids that begin with the source's name. Test studies of a source that is not trained on are left out."""
    kept = records if one.role in ("train", "train-only") else records[records["split"] != "test"]
    return kept.assign(image_id=(one.name + "-" + kept["image_id"]).astype("string"))
