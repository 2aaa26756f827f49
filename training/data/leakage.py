"""Does anything of one split stand in another? Asked before every training, and a yes stops it (SCREEN.md R86, M9).

::

    TrainingError
    └── LeakageError    E-701
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge_app.core.errors import TrainingError
from training.data.lookalikes import near_pairs
from training.data.records import IndexedStudy
from training.data.split import Split

__all__ = ["LeakageError", "Member", "Offender", "check_no_leak", "find_leaks", "members"]

KINDS = ("patient", "study", "series", "instance", "pixels", "stack", "look")
"""What is compared, gravest first; stack and look count as the same upside down."""


@dataclass(frozen=True, slots=True)
class Member:
    """What of a study must not stand on two sides."""

    side: str
    key: str
    patient_id: str
    study_uid: str
    series_uid: str
    sop_uids: tuple[str, ...]
    pixel_hashes: tuple[str, ...]
    """"" for slices without content, which any patient may share."""
    stack_hash: str
    reversed_stack_hash: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Offender:
    """One thing that stands on several sides, and the studies it is in."""

    kind: str
    value: str
    studies: tuple[tuple[str, str], ...]
    """(side, study key)."""

    def __str__(self) -> str:
        return f"{self.value} in " + ", ".join(f"{side}: {key}" for side, key in self.studies[:4])


class LeakageError(TrainingError):
    """The same patient, study, image or stack stands in more than one split."""

    code = "E-701"

    def __init__(self, offenders: tuple[Offender, ...]) -> None:
        counts = Counter(offender.kind for offender in offenders)
        first = {offender.kind: offender for offender in reversed(offenders)}
        named = "; ".join(f"{counts[kind]} × {kind}, first {first[kind]}" for kind in KINDS if kind in counts)
        super().__init__(
            f"the splits leak: {named}",
            remedy="Split by patient before copying or augmenting anything: make the split with `msu data split`.",
        )
        self.offenders = offenders

    def __reduce__(self) -> tuple[Any, ...]:
        return LeakageError, (self.offenders,)


def members(studies: Iterable[IndexedStudy], split: Split) -> list[Member]:
    """Return what the check compares, for the studies that are in the split."""
    return [
        Member(
            side=split.sides[study.key],
            key=study.key,
            patient_id=study.patient_id,
            study_uid=study.study_uid,
            series_uid=study.series_uid,
            sop_uids=tuple(s.sop_uid for s in study.slices),
            pixel_hashes=tuple(s.pixel_hash for s in study.slices),
            stack_hash=study.stack_hash,
            reversed_stack_hash=study.reversed_stack_hash,
            fingerprint=study.fingerprint,
        )
        for study in studies
        if study.key in split.sides
    ]


def find_leaks(listed: Iterable[Member]) -> tuple[Offender, ...]:
    """Return everything that stands on more than one side, in a fixed order."""
    seen: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    every = list(listed)
    for i, j in near_pairs([member.fingerprint for member in every], [member.side for member in every]):
        places = {(every[i].side, every[i].key), (every[j].side, every[j].key)}
        seen["look", f"of {every[i].key}"] |= places
    for member in every:
        place = (member.side, member.key)
        seen["patient", member.patient_id].add(place)
        seen["study", member.study_uid].add(place)
        seen["series", member.series_uid].add(place)
        for uid in member.sop_uids:
            seen["instance", uid].add(place)
        for pixels in member.pixel_hashes:
            if pixels:
                seen["pixels", pixels].add(place)
        if any(member.pixel_hashes):
            # A stack and its copy turned upside down are the same stack: the smaller of the two hashes stands for both.
            seen["stack", min(member.stack_hash, member.reversed_stack_hash)].add(place)
    return tuple(
        Offender(kind, value, tuple(sorted(places)))
        for (kind, value), places in sorted(seen.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1]))
        if len({side for side, _ in places}) > 1
    )


def check_no_leak(listed: Iterable[Member]) -> None:
    """Raise if anything stands on more than one side.

    Raises
    ------
    LeakageError
        Naming the offenders.
    """
    leaks = find_leaks(listed)
    if leaks:
        raise LeakageError(leaks)
