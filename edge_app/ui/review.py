"""Whether the images were really looked at (R34): five key slices a second each, or nine tenths of the stack. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_app.store.crew import CrewEntry
from edge_app.ui.snapshot import StudyView

__all__ = ["SEEN_AFTER_S", "STACK_SHARE", "Review", "opinion_of", "review_of", "saved_card_of"]

SEEN_AFTER_S = 1.0
"""A key slice counts as seen after being shown for so long."""

STACK_SHARE = 0.9
"""The stack counts as read when this share of it was shown."""


@dataclass(frozen=True, slots=True)
class Review:
    """What of a case has been on the screen; every method returns a new one."""

    study_uid: str | None = None
    sop_uid: str | None = None
    since_s: float = 0.0
    shown: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()

    def look(self, study_uid: str | None, sop_uid: str | None, now_s: float) -> Review:
        """Note which slice is in view now; with another study everything begins anew."""
        review = self if study_uid == self.study_uid else Review(study_uid)
        if sop_uid is None:
            return replace(review, sop_uid=None)
        if sop_uid != review.sop_uid:
            return replace(review, sop_uid=sop_uid, since_s=now_s, shown=review.shown | {sop_uid})
        if now_s - review.since_s >= SEEN_AFTER_S and sop_uid not in review.seen:
            return replace(review, seen=review.seen | {sop_uid})
        return review

    def how(self, keys: tuple[str, ...], seen_before: frozenset[str], slices: tuple[str, ...]) -> str:
        """Return how the images were reviewed, "" while they were not.

        Parameters
        ----------
        keys
            The key slices; without any (no result) only the stack counts.
        seen_before
            Key slices that an earlier screen process saw being looked at.
        """
        if keys and set(keys) <= self.seen | seen_before:
            return "key_slices"
        if slices and len(self.shown.intersection(slices)) >= STACK_SHARE * len(slices):
            return "stack"
        return ""


def review_of(study: StudyView) -> CrewEntry | None:
    """Return the entry that the images were reviewed, if they are those of the result as it is now."""
    return _of_this_revision(study, "reviewed")


def opinion_of(study: StudyView) -> CrewEntry | None:
    """Return the crew's opinion, if it is about the result as it is now."""
    return _of_this_revision(study, "opinion")


def saved_card_of(study: StudyView) -> CrewEntry | None:
    """Return the entry that the hand-over card was saved, if it is about the result as it is now."""
    return _of_this_revision(study, "hand_over")


def _of_this_revision(study: StudyView, kind: str) -> CrewEntry | None:
    entry, revision = study.crew.get(kind), study.result.revision if study.result else 0
    return entry if entry is not None and entry.body.get("revision", revision) == revision else None
