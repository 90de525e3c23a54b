"""Generated chest radiographs with pneumothorax in SIIM-ACR's form: phantoms, not patients."""

from imaging.phantom.chest.render import Facts, Phantom, render

__all__ = ["Facts", "Phantom", "render"]
