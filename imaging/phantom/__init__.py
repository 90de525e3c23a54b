"""Generated chest radiographs and head CT slices in the file formats of SIIM-ACR and ct-ich: phantoms, not patients."""

from imaging.phantom.chest.render import Facts, Phantom, render

__all__ = ["Facts", "Phantom", "render"]
