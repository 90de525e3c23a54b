"""Generated head CT slices with intracranial haemorrhage in ct-ich's form: phantoms, not patients."""

from imaging.phantom.head.slices import HeadSlice, render

__all__ = ["HeadSlice", "render"]
