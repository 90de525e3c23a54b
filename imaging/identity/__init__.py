"""Recognise the same picture and the same patient under other names."""
