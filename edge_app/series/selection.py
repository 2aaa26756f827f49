"""Which series of a study is analysed: one documented, deterministic rule (SCREEN.md R18).

A candidate must be CT Image Storage, have positions and orientations, be axial, and be neither localizer, MPR nor
otherwise derived. Among those the first difference in this order decides:

1. no sharp (bone, lung) kernel;
2. no contrast agent;
3. whole head: gap-free, ≥ 20 slices, ≥ 110 mm;
4. pixels that look like a head, where they have been measured;
5. slice distance within 2.5–5.5 mm, then nearest to 5 mm (what the model was trained on);
6. larger coverage, then more slices;
7. the smaller SeriesInstanceUID, so that the order of arrival never decides.

The crew may choose another series that can be analysed at all; the gate then judges that one as it would any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_app.core.errors import HeaderError
from edge_app.core.reasons import SERIES_TEXTS, reason
from edge_app.core.types import Reason, SliceHeader, SliceMeasures
from edge_app.series.completeness import is_geometry_complete
from edge_app.series.geometry import Stack, order_slices
from edge_app.series.head import looks_like_head
from edge_app.series.kernels import is_sharp

__all__ = ["CT_IMAGE_STORAGE", "Candidate", "Selection", "make_candidates", "select_series"]

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

MAX_TILT_DEG = 30.0
"""Beyond this from axial a series is sagittal, coronal or oblique (SCREEN.md R13)."""

_NOT_ORIGINAL = frozenset(("LOCALIZER", "MPR", "PROJECTION IMAGE", "MIP", "MINIP", "AVERAGE", "VRT", "REFORMATTED"))
_NOT_AXIAL = "not_axial"
_TARGET_MM = 5.0
_PREFERRED_MM = (2.4, 5.6)
"""2.5–5 mm with room for gantry tilt and rounding."""

_Rank = tuple[bool, bool, bool, bool, bool, float, int, int, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One series of the study. `stack` is None where a slice has no position or orientation."""

    series_uid: str
    headers: tuple[SliceHeader, ...]
    stack: Stack | None
    measures: tuple[SliceMeasures, ...] = ()
    """Of the slices measured so far, in the stack's order; may be fewer than the slices."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome: `chosen` is None only together with a `reason`."""

    chosen: Candidate | None
    why: str
    """Key of `SERIES_TEXTS`: why this one."""
    refused: Mapping[str, str]
    """SeriesInstanceUID → why it was not chosen, a key of `SERIES_TEXTS`."""
    choosable: frozenset[str] = frozenset()
    """SeriesInstanceUIDs that the crew may choose."""
    candidates: tuple[Candidate, ...] = ()
    reason: Reason | None = None


def make_candidates(
    headers: Iterable[SliceHeader], measures: Mapping[str, SliceMeasures] | None = None
) -> tuple[Candidate, ...]:
    """Group a study's headers by series, ordered by UID, and give each its stack and measures (by SOP Instance UID).

    A localizer inside an axial series is left out of it: some scanners keep the scout in the series it planned.
    """
    by_series: dict[str, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        by_series[header.series_uid].append(header)
    known = measures or {}
    found = []
    for uid in sorted(by_series):
        original = [header for header in by_series[uid] if not _is_localizer(header)]
        members = tuple(sorted(original or by_series[uid], key=lambda header: header.sop_uid))
        try:
            stack = order_slices(members)
        except HeaderError:
            stack = None
        ordered = stack.headers if stack is not None else members
        found.append(Candidate(uid, ordered, stack, tuple(known[h.sop_uid] for h in ordered if h.sop_uid in known)))
    return tuple(found)


def select_series(candidates: Sequence[Candidate], *, wanted: str = "") -> Selection:
    """Choose the series to analyse by the rule at the top of this file.

    Parameters
    ----------
    candidates
        All series of the study.
    wanted
        SeriesInstanceUID that the crew chose; one that cannot be analysed at all leaves the choice to the rule.
    """
    refused: dict[str, str] = {}
    ranked: list[tuple[_Rank, Candidate]] = []
    for candidate in candidates:
        objection = _objection(candidate)
        if candidate.stack is None or objection:
            refused[candidate.series_uid] = objection or "no_position"
        else:
            ranked.append((_rank(candidate, candidate.stack), candidate))
    if not ranked:
        return Selection(
            None, "none", refused, candidates=tuple(candidates), reason=_reason_for_none(candidates, refused)
        )
    choosable = frozenset(candidate.series_uid for _, candidate in ranked)
    ranked.sort(key=lambda entry: entry[0])
    best_rank, best = ranked[0]
    if wanted in choosable:
        best = next(candidate for _, candidate in ranked if candidate.series_uid == wanted)
        refused |= dict.fromkeys(choosable - {wanted}, "crew_chose_other")
        return Selection(best, "crew", refused, choosable, tuple(candidates))
    refused |= {candidate.series_uid: _difference(best_rank, rank) for rank, candidate in ranked[1:]}
    return Selection(best, "only" if len(ranked) == 1 else "nearest", refused, choosable, tuple(candidates))


def _reason_for_none(candidates: Sequence[Candidate], refused: Mapping[str, str]) -> Reason:
    """Name the study's best failing: a CT series in another direction is nearer to analysable than a foreign object."""
    objections = [refused[uid] for uid in sorted(refused)]
    if _NOT_AXIAL in objections:
        return reason("Q-08")
    if not objections:
        return reason("Q-14", "no images")
    modality = next((h.modality for c in candidates for h in c.headers if h.modality not in ("CT", "")), "")
    return reason("Q-14", f"modality {modality}" if objections[0] == "modality" else SERIES_TEXTS[objections[0]])


def _is_localizer(header: SliceHeader) -> bool:
    return "LOCALIZER" in (value.upper() for value in header.image_type)


def _objection(candidate: Candidate) -> str:
    """Return why a series cannot be analysed at all, a key of `SERIES_TEXTS`, or ""."""
    types = {value.upper() for header in candidate.headers for value in header.image_type}
    if any(header.modality not in ("CT", "") for header in candidate.headers):
        return "modality"
    if any(header.sop_class_uid != CT_IMAGE_STORAGE for header in candidate.headers):
        return "not_ct"
    if types & _NOT_ORIGINAL:
        return "localizer" if "LOCALIZER" in types else "reformatted"
    if any(header.image_type[:1] == ("DERIVED",) and not header.lossy for header in candidate.headers):
        return "derived"
    if candidate.stack is not None and candidate.stack.tilt_deg > MAX_TILT_DEG:
        return _NOT_AXIAL
    return ""


_RANK_WORDS = (
    "sharp_kernel",
    "contrast",
    "not_whole",
    "not_head",
    "spacing_outside",
    "spacing_further",
    "smaller_coverage",
    "fewer_slices",
    "same",
)


def _rank(candidate: Candidate, stack: Stack) -> _Rank:
    """Return the sort key; smaller is better, one entry per word in `_RANK_WORDS`."""
    spacing = round(stack.spacing_mm, 1)
    return (
        any(map(is_sharp, stack.headers)),
        any(header.contrast_agent for header in stack.headers),
        not is_geometry_complete(stack),
        bool(candidate.measures) and not looks_like_head(stack, candidate.measures),
        not _PREFERRED_MM[0] <= spacing <= _PREFERRED_MM[1],
        abs(spacing - _TARGET_MM),
        -round(stack.coverage_mm),
        -len(stack.headers),
        candidate.series_uid,
    )


def _difference(best: _Rank, other: _Rank) -> str:
    return next(word for word, mine, theirs in zip(_RANK_WORDS, best, other, strict=True) if mine != theirs)
