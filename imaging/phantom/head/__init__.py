"""Generated head CT slices with intracranial haemorrhage in ct-ich's file format: phantoms, not patients."""

from imaging.phantom.head.slices import HeadSlice, render

__all__ = ["HeadSlice", "render"]
