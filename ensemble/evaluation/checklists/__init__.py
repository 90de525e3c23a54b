"""Reporting checklists filled from a run: CLAIM 2024 and TRIPOD+AI."""
