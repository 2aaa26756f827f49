"""Files → one ordered volume in HU: headers, pixels, geometry, completeness, selection and the input gate."""

from edge_app.series.completeness import AssociationState, Completeness, expected_slices, is_geometry_complete, judge
from edge_app.series.gate import check
from edge_app.series.geometry import Gap, Stack, order_slices
from edge_app.series.head import brain_range, looks_like_head, vertex_seen
from edge_app.series.headers import load_instance, read_header
from edge_app.series.measures import measure_slice
from edge_app.series.pixels import decode_slice
from edge_app.series.quality import check_quality
from edge_app.series.selection import CT_IMAGE_STORAGE, Candidate, Selection, make_candidates, select_series

__all__ = [
    "CT_IMAGE_STORAGE",
    "AssociationState",
    "Candidate",
    "Completeness",
    "Gap",
    "Selection",
    "Stack",
    "brain_range",
    "check",
    "check_quality",
    "decode_slice",
    "expected_slices",
    "is_geometry_complete",
    "judge",
    "load_instance",
    "looks_like_head",
    "make_candidates",
    "measure_slice",
    "order_slices",
    "read_header",
    "select_series",
    "vertex_seen",
]
