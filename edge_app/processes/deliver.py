"""The delivery process: outbox to the stroke centre. Network out, no GPU; a bad link delays nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_app.core.clock import monotonic_s
from edge_app.core.config import Settings
from edge_app.core.errors import ProcessError, StoreError
from edge_app.core.logs import get_logger
from edge_app.core.types import StudyResult
from edge_app.delivery.address import Protocol, parse_address
from edge_app.delivery.audit_export import AuditExporter
from edge_app.delivery.items import Item, item_of_document, item_of_file
from edge_app.delivery.proof import listen_for_reports
from edge_app.delivery.runner import Runner
from edge_app.delivery.tls import client_context
from edge_app.processes.facts import FactsOfModels
from edge_app.reports import (
    FHIR_FILE,
    HL7_FILE,
    MESSAGE_FILE,
    message_uid,
    notice_uid,
    write_message,
    write_notice,
    write_reports,
)
from edge_app.store import outbox
from edge_app.store.diversion import current_diversion
from edge_app.store.ledger import Ledger
from edge_app.store.notices import notice_of
from edge_app.store.outbox import OutboxRow
from edge_app.store.paths import StorePaths

__all__ = ["run"]

BEAT_S = 1.0
POLL_S = 0.25
FORGOTTEN_EVERY_S = 10.0

_DOCUMENTS = {Protocol.FHIR: FHIR_FILE, Protocol.HL7: HL7_FILE, Protocol.NOTIFY: MESSAGE_FILE}

STUCK_S = 60.0
"""A destination's thread that has not looked up for so long keeps the process from saying that it lives."""

_log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> None:
    """Send what is in the outbox until `stop` is set; returns within about a second of that.

    Parameters
    ----------
    settings
        `[delivery]` says where to; without a destination the process only says so.
    ready
        Called once when the ledger is open and the first heartbeat given.
    alive
        Called about once a second as long as no destination's thread is stuck.

    Raises
    ------
    ConfigError
        If certificates or credentials cannot be read.
    NetworkError
        If the port for commitment reports is taken.
    """
    with (
        Ledger(StorePaths(settings.data), "deliver") as ledger,
        listen_for_reports(ledger, settings.delivery),
    ):
        retried = outbox.requeue_failed(ledger)
        if retried:
            _log.event(404, "given up before, tried again", rows=retried)
        loop = _Loop(settings, ledger, stop, alive)
        try:
            loop.run(ready)
        finally:
            loop.close()


class _Loop:
    def __init__(
        self, settings: Settings, ledger: Ledger, stop: threading.Event, alive: Callable[[], None] | None
    ) -> None:
        self._ledger = ledger
        self._stop = stop
        self._alive = alive
        self._beat_at_s = self._forgotten_at_s = float("-inf")
        self._analysis = settings.analysis
        self._delivery = settings.delivery
        self._facts = FactsOfModels(settings)
        self._making = threading.Lock()
        self._runners: dict[str, Runner] = {}
        self._served: tuple[str, ...] = ()
        self._unknown = ""
        addresses = (settings.delivery.destination, *settings.delivery.alternatives, *settings.delivery.also)
        secure = any(parse_address(text).tls for text in addresses if text) or bool(settings.delivery.audit_server)
        self._tls = client_context(settings.delivery) if secure else None
        self._audit = AuditExporter(ledger, settings.delivery, self._tls)

    def run(self, ready: Callable[[], None] | None) -> None:
        self._audit.start()
        self._follow()
        self._beat()
        if ready:
            ready()
        while not self._stop.is_set():
            if monotonic_s() - self._forgotten_at_s >= FORGOTTEN_EVERY_S:
                self._forgotten_at_s = monotonic_s()
                outbox.add_forgotten_images(self._ledger)
            self._follow()
            self._beat()
            self._stop.wait(POLL_S)

    def close(self) -> None:
        """Stop all destinations: they wind up at the same time."""
        for runner in self._runners.values():
            runner.ask_to_stop()
        for runner in self._runners.values():
            runner.stop()
        self._audit.stop()

    def _follow(self) -> None:
        """Serve the centre the crew chose, and those that are always served; hand over what is held when it changes."""
        wanted = self._wanted()
        if wanted == self._served:
            return
        for text in set(self._runners) - set(wanted):
            self._runners.pop(text).stop()
        self._served = wanted
        outbox.settle_all(self._ledger, wanted)
        for text in wanted:
            if text not in self._runners:
                runner = Runner(
                    self._ledger,
                    self._delivery,
                    parse_address(text),
                    make_objects=self._make_objects,
                    make_message=self._make_message,
                    served=self._wanted,
                    tls=self._tls,
                )
                self._runners[text] = runner
                runner.start()

    def _wanted(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for text in (self._centre(), *self._delivery.also) if text))

    def _centre(self) -> str:
        chosen = current_diversion(self._ledger)
        if not chosen or chosen == self._delivery.destination:
            return self._delivery.destination
        if chosen in self._delivery.alternatives:
            return chosen
        if chosen != self._unknown:
            self._unknown = chosen
            _log.event(414, "diversion to a destination that is not in the settings is ignored")
        return self._delivery.destination

    def _make_objects(self, row: OutboxRow, protocol: Protocol) -> Sequence[Item]:
        """Return the files of a report or a notice, made now if they are not there, from headers alone."""
        if protocol is Protocol.HL7 and row.kind == "notice":
            return []  # that somebody is asked to look belongs in no record
        with self._making:
            files, identifier = self._notice(row) if row.kind == "notice" else self._report(row)
        if protocol.takes_images:
            return [item_of_file(path) for path in files]
        return [item_of_document(files[0].parent / _DOCUMENTS[protocol], identifier)]

    def _make_message(self, row: OutboxRow) -> Item:
        with self._making:
            if row.kind == "notice":
                return item_of_file(self._notice(row)[0][0])
            result = self._result(row)
            return item_of_file(
                write_message(
                    result,
                    self._ledger,
                    self._ledger.paths,
                    edition=row.edition,
                    facts=self._facts.of(result.model),
                    unvalidated_ischaemia=self._analysis.ischaemia_output == "research",
                )
            )

    def _result(self, row: OutboxRow) -> StudyResult:
        result = outbox.result_of(self._ledger, row.study_uid, row.revision)
        if result is None:
            raise StoreError(f"no revision {row.revision} of this result", remedy="The ledger has been tampered with.")
        return result

    def _report(self, row: OutboxRow) -> tuple[Sequence[Path], str]:
        result = self._result(row)
        files = write_reports(
            result,
            self._ledger,
            self._ledger.paths,
            edition=row.edition,
            facts=self._facts.of(result.model),
            unvalidated_ischaemia=self._analysis.ischaemia_output == "research",
            parametric_maps=self._delivery.parametric_maps,
        )
        return files, message_uid(row.study_uid, row.revision, row.edition)

    def _notice(self, row: OutboxRow) -> tuple[Sequence[Path], str]:
        notice = notice_of(self._ledger, row.id)
        if notice is None:
            raise StoreError("a notice without its entry", remedy="The ledger has been tampered with.")
        file = write_notice(
            notice,
            self._ledger,
            self._ledger.paths,
            facts=lambda result: self._facts.of(result.model),
            unvalidated_ischaemia=self._analysis.ischaemia_output == "research",
        )
        return [file], notice_uid(notice.study_uid, notice.crew_id)

    def _beat(self) -> None:
        """Give a sign of life when it is time, if all destinations' threads have given theirs."""
        for runner in self._runners.values():
            problem = runner.failure()
            if problem is not None:
                raise ProcessError(
                    f"delivery to {runner.address.text} ended: {problem}", remedy="It is started again by itself."
                ) from problem
        if self._audit.problem is not None:
            raise ProcessError(
                f"the export of the audit trail ended: {self._audit.problem}", remedy="It is started again by itself."
            ) from self._audit.problem
        now_s = monotonic_s()
        stuck = any(now_s - runner.alive_s > STUCK_S for runner in self._runners.values())
        if now_s - self._beat_at_s >= BEAT_S and not stuck:
            self._beat_at_s = now_s
            self._ledger.beat(self._detail())
            if self._alive:
                self._alive()

    def _detail(self) -> dict[str, object]:
        """Return the centre's state, and that of all destinations."""
        details = [self._runners[text].detail() for text in self._served]
        if not details:
            return {
                "destination": "",
                "link": "off",
                "problem": "no destination configured: nothing is sent",
                "next_try_in_s": None,
                "sending": "",
                "kbit_s": None,
                "outbox": outbox.count_by_state(self._ledger),
                "destinations": [],
            }
        return {**details[0], "destinations": details}
