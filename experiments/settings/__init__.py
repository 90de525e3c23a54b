"""Typed sections of params.yaml, with a docstring under each field."""
