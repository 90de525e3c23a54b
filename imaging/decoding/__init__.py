"""Bytes to grey pixels: JPEG, Pillow's formats, and native decoders in a sandboxed process."""
