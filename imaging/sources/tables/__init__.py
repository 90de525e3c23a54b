"""Source `table`: one table of paths with labels, masks or boxes, and the presets of published data sets."""
