"""Joins series, preprocessing, inference and triage; `analyse.py` shows the whole flow on one page."""
