"""The web page: drop radiographs, see the bundle's predictions. `python -m ensemble.app`; docs/app.md.

The server reads one file per request and keeps nothing; list, thresholds and downloads stay in the visitor's browser.
"""
