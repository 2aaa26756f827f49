"""Figures for Prometheus, read from the ledger when they are asked for: counts and times, never a patient.

Names follow Prometheus's own rules (base units, ``_total`` for counters). The same text goes to a file for the node
exporter's textfile collector, where no port may be opened.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_app.core.clock import boot_id, monotonic_s
from edge_app.core.findings import Finding
from edge_app.store.ledger import Ledger
from edge_app.store.outbox import count_by_state
from edge_app.watch.processes import DEAD_AFTER_S

__all__ = ["LedgerCollector", "registry_of", "write_textfile"]

RECENT_RESULTS = 100
"""Results whose times the quantiles are taken over."""


class LedgerCollector(Collector):
    """Collects from a ledger; `findings` are those of the watch's last round."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.findings: Sequence[Finding] = ()

    def collect(self) -> Iterable[Metric]:
        """Yield all metric families."""
        yield from self._fitness()
        yield from self._processes()
        yield from self._studies()
        yield from self._delivery()

    def _fitness(self) -> Iterable[Metric]:
        fit = GaugeMetricFamily("msu_fit", "1 if the watch finds nothing wrong")
        fit.add_metric([], float(bool(self.findings) and all(finding.ok for finding in self.findings)))
        yield fit
        found = GaugeMetricFamily("msu_finding_ok", "One per check: 1 if all is well", labels=["check", "code"])
        for finding in self.findings:
            found.add_metric([finding.check, finding.code], float(finding.ok))
        yield found

    def _processes(self) -> Iterable[Metric]:
        alive = GaugeMetricFamily(
            "msu_process_alive", "1 if the process gave a sign of life lately", labels=["process"]
        )
        free = GaugeMetricFamily("msu_disk_free_bytes", "Free space of the store's disk")
        drift = GaugeMetricFamily("msu_canary_difference", "Largest change of a slice's probability at FP32")
        boot, now_s = boot_id(), monotonic_s()
        for name, beat in self._ledger.heartbeats().items():
            lives = beat.boot_id == boot and now_s - beat.at_s <= DEAD_AFTER_S
            alive.add_metric([name], float(lives))
            if name == "receive" and isinstance(size := beat.detail.get("free_bytes"), int):
                free.add_metric([], float(size))
            canary = beat.detail.get("canary")
            if name == "work" and isinstance(canary, dict):
                drift.add_metric([], float(canary["difference"]))
        yield from (alive, free, drift)

    def _studies(self) -> Iterable[Metric]:
        images = CounterMetricFamily("msu_instances_received", "Objects that were acknowledged")
        # A counter never goes back: neither when a study is removed to make room, nor after a self-test.
        images.add_metric([], float(self._number("SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'instances'")))
        yield images
        results = CounterMetricFamily("msu_results", "Results by status and verdict", labels=["status", "verdict"])
        delays_s: list[float] = []
        rows = self._ledger.read(
            "SELECT json_extract(body, '$.status'), COALESCE(json_extract(body, '$.verdict'), ''), COUNT(*) "
            "FROM results WHERE study_uid NOT IN (SELECT study_uid FROM self_tests) GROUP BY 1, 2"
        )
        for status, verdict, count in rows:
            results.add_metric([str(status), str(verdict)], float(count))
        yield results
        for (body,) in self._ledger.read("SELECT body FROM results ORDER BY rowid DESC LIMIT ?", RECENT_RESULTS):
            delay_ms = json.loads(body).get("timings_ms", {}).get("last_slice_to_result")
            if isinstance(delay_ms, int | float):
                delays_s.append(delay_ms / 1e3)
        delay = GaugeMetricFamily(
            "msu_last_slice_to_result_seconds", f"Of the last {RECENT_RESULTS} results", labels=["quantile"]
        )
        if delays_s:
            delay.add_metric(["0.5"], statistics.median(delays_s))
            delay.add_metric(["0.95"], sorted(delays_s)[min(len(delays_s) - 1, int(0.95 * len(delays_s)))])
        yield delay
        refused = CounterMetricFamily("msu_quarantined", "Objects that could not be taken in")
        refused.add_metric([], float(self._number("SELECT COUNT(*) FROM quarantine")))
        yield refused

    def _delivery(self) -> Iterable[Metric]:
        items = GaugeMetricFamily("msu_outbox_items", "What has to leave the vehicle", labels=["kind", "state"])
        for kind, states in count_by_state(self._ledger).items():
            for state, count in states.items():
                items.add_metric([kind, state], float(count))
        yield items
        audit = CounterMetricFamily("msu_audit_records", "Records in the audit trail")
        audit.add_metric([], float(self._number("SELECT COUNT(*) FROM audit")))
        yield audit

    def _number(self, sql: str) -> int:
        return int(self._ledger.read(sql)[0][0] or 0)


def registry_of(collector: LedgerCollector) -> CollectorRegistry:
    """Return a registry with nothing but this collector."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def write_textfile(registry: CollectorRegistry, path: Path) -> None:
    """Write all figures where the node exporter's textfile collector looks, whole or not at all."""
    write_to_textfile(str(path), registry)
