"""Result to DICOM objects for the centre: 4 KB message, SR, key objects, presentation state and a result page."""

from __future__ import annotations

from edge_app.reports.header import Kind, ModelFacts
from edge_app.reports.write import make_reports, report_files, write_reports

__all__ = ["Kind", "ModelFacts", "make_reports", "report_files", "write_reports"]
