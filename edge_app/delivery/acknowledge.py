"""Asking a notified centre whether somebody has seen the result: ``GET …/<message>/acknowledgement``.

The answer is 404 until somebody has, then JSON with ``by``, ``role`` and ``at`` (UTC, ISO 8601), and with ``reading``
once a reader has said what the images show: ``seen`` (blood), ``not_seen`` or ``unsure``. Asking, because the vehicle's
link lets nobody in.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from edge_app.core.clock import MonotonicClock, monotonic_s, utc_iso, utc_now
from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError
from edge_app.core.logs import get_logger
from edge_app.delivery.address import Address, Protocol
from edge_app.delivery.web import WebLink
from edge_app.reports import message_uid, notice_uid
from edge_app.store import proofs
from edge_app.store.ledger import Ledger
from edge_app.store.proofs import Acknowledgement, OpenMessage
from edge_app.store.statements import add_second_reading

__all__ = ["Acknowledger"]

ASKED_FOR = timedelta(hours=24)
"""A result that nobody has acknowledged by then is no longer asked about."""

READING_FOR = timedelta(hours=2)
"""So long an acknowledged result is asked for a second reading ..."""

READING_EVERY = 6
"""... but only every so many times."""

READINGS = ("seen", "not_seen", "unsure")

_LONGEST = 200

_NOTHING, _SEEN, _READ = range(3)

_log = get_logger(__name__)


class Acknowledger:
    """Polls one ``notify`` destination; does nothing for others."""

    def __init__(
        self,
        ledger: Ledger,
        settings: DeliverySettings,
        address: Address,
        *,
        go_on: Callable[[], bool],
        tls: ssl.SSLContext | None = None,
        clock: MonotonicClock = monotonic_s,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._address = address
        self._go_on = go_on
        self._tls = tls
        self._clock = clock
        self._until_s = float("-inf")
        self._round = 0

    def step(self) -> bool:
        """Ask about all results that nobody has acknowledged, if it is time; returns False if it is not."""
        if self._address.protocol is not Protocol.NOTIFY or self._clock() < self._until_s:
            return False
        self._until_s = self._clock() + self._settings.acknowledgement_poll_s
        unseen = proofs.unacknowledged(self._ledger, self._address.text, since_utc=utc_iso(utc_now() - ASKED_FOR))
        self._round += 1
        unread: list[OpenMessage] = []
        if self._round % READING_EVERY == 1:
            unread = proofs.unread(self._ledger, self._address.text, since_utc=utc_iso(utc_now() - READING_FOR))
        if not unseen and not unread:
            return False
        try:
            with WebLink(self._address, self._settings, self._go_on, tls=self._tls) as link:
                done: set[tuple[str, int]] = set()
                for message, enough in (*((m, _SEEN) for m in unseen), *((m, _READ) for m in unread)):
                    # A result has several messages, and a reader may answer any of them.
                    result = (message.study_uid, message.revision)
                    if result not in done and self._ask(link, message) >= enough:
                        done.add(result)
        except NetworkError as error:
            _log.event(412, "centre cannot be asked for acknowledgements", problem=error.message)
        return True

    def _ask(self, link: WebLink, message: OpenMessage) -> int:
        """Ask about one message and keep what is new; returns what was said of it."""
        answer = link.get_json(f"/{_uid(message)}/acknowledgement")
        if not isinstance(answer, dict) or not answer.get("by"):
            return _NOTHING
        by, role = (str(answer.get(key) or "")[:_LONGEST] for key in ("by", "role"))
        at = _at_utc(answer.get("at"))
        seen = Acknowledgement(message.study_uid, message.revision, self._address.text, by, role, at)
        if proofs.add_acknowledgement(self._ledger, seen):
            _log.event(413, "result acknowledged", revision=message.revision)
        reading = answer.get("reading")
        if reading not in READINGS or not message.revision:
            return _SEEN
        add_second_reading(
            self._ledger,
            message.study_uid,
            str(reading),
            revision=message.revision,
            by=role,
            name=by,
            source=self._address.text,
        )
        return _READ


def _at_utc(said: object) -> str:
    """Return when somebody saw it as the ledger writes moments; where the centre names none, that is now.

    Screen and times of the cases rely on it. A centre that names no zone means UTC.
    """
    try:
        at = datetime.fromisoformat(str(said).strip().upper().replace("Z", "+00:00"))
    except ValueError:
        return utc_iso(utc_now())
    if not 2000 <= at.year < 3000:
        return utc_iso(utc_now())
    return utc_iso(at if at.tzinfo else at.replace(tzinfo=timezone.utc))


def _uid(message: OpenMessage) -> str:
    if message.notice is not None:
        return notice_uid(message.study_uid, message.notice)
    return message_uid(message.study_uid, message.revision, message.edition)
