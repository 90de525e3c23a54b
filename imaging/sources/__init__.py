"""Where studies come from: each source lists its files and labels."""

from __future__ import annotations

from imaging.settings import DataSettings
from imaging.sources import ct_ich, image_folder, several, siim
from imaging.sources.listing import Listing
from imaging.sources.tables import source as tables


def list_studies(settings: DataSettings) -> Listing:
    """List the studies of the source that the settings name; phantoms are read in the format they were written in."""
    if settings.source == "several":
        each = [list_studies(several.settings_of(one, settings)) for one in settings.sources]
        return several.united(settings.sources, each, settings.folder)
    if settings.source == "folder":
        return image_folder.list_studies(settings)
    if settings.source == "ct_ich" or (settings.source == "phantom" and ct_ich.is_one(settings.folder)):
        return ct_ich.list_studies(settings)
    if settings.source == "table":
        return tables.list_studies(settings)
    return siim.list_studies(settings)
