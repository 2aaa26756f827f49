"""How well the program did on this vehicle's own patients: rates with intervals, abstentions, drift of scores."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edge_app.core.types import Verdict

__all__ = ["DRIFT_ALERT", "Case", "Group", "Rate", "Week", "performance", "rate", "score_drift", "weekly"]

DRIFT_ALERT = 0.2
"""A population stability index above this calls for somebody to look (SCREEN.md R90)."""

_BINS = 10
_LEAST = 1e-4
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Case:
    """One study. `verdict` is None where there was no AI result; `truth` None where no outcome is known.

    `week` is that of its first image, as in ISO 8601; `disagreed` whether crew or reader disagreed with the answer;
    `waited_ms` the time from the last slice to the result.
    """

    scanner: str
    verdict: Verdict | None
    score: float | None
    truth: bool | None
    week: str = ""
    disagreed: bool = False
    waited_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """A share `hits` of `n` with its 95 % Wilson interval; all None of nothing."""

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """Figures of one scanner, or of all. INDETERMINATE counts as detected, and apart as an abstention (R25)."""

    scanner: str
    studies: int
    no_result: int
    abstained: int
    sensitivity: Rate
    specificity: Rate
    disagreements: int
    """Suspected without, or not detected with, a haemorrhage in the outcome."""


@dataclass(frozen=True, slots=True)
class Week:
    """Counts of one week (SCREEN.md R90), and the median and longest time from the last slice to the result."""

    week: str
    studies: int
    no_result: int
    abstained: int
    disagreements: int
    waited_ms_median: float | None
    waited_ms_longest: float | None


def performance(cases: Sequence[Case]) -> list[Group]:
    """Return the figures of all cases together, then of each scanner in order of its name."""
    by_scanner: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_scanner[case.scanner].append(case)
    return [_group("all", cases), *(_group(name, by_scanner[name]) for name in sorted(by_scanner))]


def weekly(cases: Sequence[Case]) -> list[Week]:
    """Return the counts of each week that had a study, the latest last."""
    by_week: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_week[case.week].append(case)
    weeks = []
    for week, of_week in sorted(by_week.items()):
        waited = [case.waited_ms for case in of_week if case.waited_ms is not None]
        weeks.append(
            Week(
                week=week,
                studies=len(of_week),
                no_result=sum(case.verdict is None for case in of_week),
                abstained=sum(case.verdict is Verdict.INDETERMINATE for case in of_week),
                disagreements=sum(case.disagreed for case in of_week),
                waited_ms_median=round(median(waited), 1) if waited else None,
                waited_ms_longest=round(max(waited), 1) if waited else None,
            )
        )
    return weeks


def score_drift(before: Sequence[float], now: Sequence[float]) -> float | None:
    """Return the population stability index of scores in [0, 1], in tenths; None with fewer than 20 on either side."""
    if min(len(before), len(now)) < 20:
        return None
    total = 0.0
    for old, new in zip(_shares(before), _shares(now), strict=True):
        total += (new - old) * math.log(new / old)
    return total


def _group(name: str, cases: Sequence[Case]) -> Group:
    judged = [case for case in cases if case.verdict is not None]
    known = [case for case in judged if case.truth is not None]
    bled = [case for case in known if case.truth]
    others = [case for case in known if not case.truth]
    wrong = [case for case in known if _detected(case) is not case.truth and case.verdict is not Verdict.INDETERMINATE]
    return Group(
        scanner=name,
        studies=len(cases),
        no_result=len(cases) - len(judged),
        abstained=sum(case.verdict is Verdict.INDETERMINATE for case in judged),
        sensitivity=rate(sum(_detected(case) for case in bled), len(bled)),
        specificity=rate(sum(not _detected(case) for case in others), len(others)),
        disagreements=len(wrong),
    )


def _detected(case: Case) -> bool:
    return case.verdict in (Verdict.HEMORRHAGE, Verdict.INDETERMINATE)


def rate(hits: int, n: int) -> Rate:
    """Return a share with its Wilson score interval (Wilson 1927): right also for few cases and shares near 0 and 1."""
    if n == 0:
        return Rate(0, 0, None, None, None)
    share = hits / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Rate(hits, n, share, max(0.0, middle - half), min(1.0, middle + half))


def _shares(scores: Sequence[float]) -> list[float]:
    counts = [0] * _BINS
    for score in scores:
        counts[min(_BINS - 1, max(0, int(score * _BINS)))] += 1
    return [max(_LEAST, count / len(scores)) for count in counts]
