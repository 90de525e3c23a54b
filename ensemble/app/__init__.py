"""The web page: drop radiographs, see what the bundle says of them. `python -m ensemble.app`; docs/app.md.

The server reads one file a request and keeps nothing; list, thresholds and downloads live in the visitor's browser.
"""
