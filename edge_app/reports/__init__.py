"""Result to DICOM objects: SR, Key Object Selection, presentation state and a result page, for the centre's PACS."""

from __future__ import annotations

from edge_app.reports.header import Kind, ModelFacts
from edge_app.reports.write import make_reports, write_reports

__all__ = ["Kind", "ModelFacts", "make_reports", "write_reports"]
