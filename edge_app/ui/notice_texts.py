"""How far the crew's call to the centre is: asked for, sent, answered, outdated (R77, R78). No Qt."""

from __future__ import annotations

from datetime import datetime

from edge_app.ui import formats
from edge_app.ui.facts import Moment
from edge_app.ui.snapshot import StudyView
from edge_app.ui.strings import text
from edge_app.ui.timers import local_time

__all__ = ["NO_ANSWER_S", "answer_words", "is_outdated", "must_call", "notice_words"]

NO_ANSWER_S = 120.0
"""Not sent, or without an acknowledgment, for so long: the crew is told to call (R77)."""


def is_outdated(study: StudyView) -> bool:
    """Return whether the centre was notified of an earlier revision of the result (R78)."""
    sent = study.crew.get("notify")
    revision = study.result.revision if study.result else 0
    return sent is not None and bool(revision) and int(sent.body.get("revision", revision)) < revision


def answer_words(study: StudyView, language: str, now: Moment) -> str:
    """Return who at the centre has answered and when: over the network, or to the crew; "" for nobody yet."""
    if study.acknowledged is not None and study.result and study.acknowledged[0] == study.result.revision:
        _, who, at_utc = study.acknowledged
        return f"{text('notify.answered', language, at=local_time(at_utc, now))} {formats.clean(who, 24)}"
    sent, answered = study.crew.get("notify"), study.crew.get("acknowledged")
    if sent is not None and not is_outdated(study) and answered is not None and answered.id > sent.id:
        return text("notify.answered", language, at=local_time(answered.at_utc, now))
    return ""


def must_call(study: StudyView, language: str, now: Moment, *, off: bool) -> str:
    """Return why the crew has to call instead, "" while it has not; `off` where nothing is sent at all."""
    sent, notice = study.crew.get("notify"), study.notice
    if sent is None or answer_words(study, language, now):
        return ""
    if notice is not None and notice.state == "failed":
        return text("notify.failed", language)
    if off:
        return text("notify.off", language)
    if _age_s(sent.at_utc, now) <= NO_ANSWER_S:
        return ""
    return text("notify.not_sent" if notice is not None and notice.state == "queued" else "notify.call", language)


def notice_words(study: StudyView, language: str, now: Moment) -> str:
    """Return how far the last call is, "" if there was none."""
    sent, notice = study.crew.get("notify"), study.notice
    if sent is None:
        return ""
    if notice is not None and notice.state == "queued":
        return text("notify.queued", language, at=local_time(sent.at_utc, now))
    answer = answer_words(study, language, now)
    if notice is not None and notice.state == "failed":
        return answer or text("notify.failed", language)
    at_utc = notice.sent_utc if notice is not None and notice.sent_utc else sent.at_utc
    return f"{text('notify.sent', language, at=local_time(at_utc, now))} · {answer or text('notify.waiting', language)}"


def _age_s(at_utc: str, now: Moment) -> float:
    return (now.local - datetime.fromisoformat(at_utc.replace("Z", "+00:00"))).total_seconds()
