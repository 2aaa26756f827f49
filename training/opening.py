"""The test split is opened once per experiment, and every opening is written down before the first answer is seen.

An experiment is a patient network's folder. Its ``test-opened.json`` says when, with which weights and on which data
the test split was opened, and keeps the answers: the report can be made again from them without opening it again. A
retrained network is another experiment. The data's folder counts the openings by all experiments in
``test-openings.jsonl``, since who tries ten experiments on one test split has chosen by it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.errors import TrainingError
from training.experiment import write_description

__all__ = ["OPENED", "OPENINGS", "Answers", "Opening", "SealedTest", "refuse_if_opened"]

OPENED = "test-opened.json"
OPENINGS = "test-openings.jsonl"


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of a test split."""

    opened_utc: str
    data_sha256: str
    image_sha256: str
    patient_sha256: str
    commit: str
    reason: str = ""
    """Why it was opened although it had been before; "" for the first time."""


@dataclass(frozen=True, eq=False, slots=True)
class Answers:
    """What the networks said of the test studies: `logits` (studies, 3), `distances` (studies,), by study key."""

    keys: tuple[str, ...]
    logits: NDArray[np.float64]
    distances: NDArray[np.float64]


class SealedTest:
    """Guards the test split of prepared data for one experiment.

    Parameters
    ----------
    experiment, data
        The patient network's folder, and that of the prepared slices.
    data_sha256, image_sha256, patient_sha256, commit
        What is opened, by what.
    """

    def __init__(
        self,
        experiment: Path,
        data: Path,
        *,
        data_sha256: str,
        image_sha256: str,
        patient_sha256: str,
        commit: str,
    ) -> None:
        self.path, self.log = experiment / OPENED, data / OPENINGS
        self._now = Opening("", data_sha256, image_sha256, patient_sha256, commit)
        self._kept = _read(self.path)

    @property
    def openings(self) -> list[dict[str, Any]]:
        """All openings by this experiment."""
        return list(self._kept.get("openings", ()))

    def count(self) -> int:
        """Return how often the test split was opened, by all experiments.

        Raises
        ------
        TrainingError
            If the log of the openings cannot be read.
        """
        if not self.log.exists():
            return len(self.openings)
        try:
            lines = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines() if line.strip()]
            return sum(line["data_sha256"] == self._now.data_sha256 for line in lines)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{self.log} cannot be read: {error}",
                remedy="Mend its damaged line; it says how often the test was seen.",
            ) from error

    def open(self, reason: str = "") -> Answers | None:
        """Write down that the test split is opened, and return the answers if they are known already.

        Parameters
        ----------
        reason
            Opens it once more although other weights or data were judged before; stands in the report.

        Raises
        ------
        TrainingError
            If this experiment has opened it with other weights or on other data and no reason is given, or the opening
            cannot be written down.
        """
        last = self.openings[-1] if self.openings else None
        if last is not None and all(last[name] == value for name, value in self._identity().items()):
            return self._answers()
        if last is not None and not reason:
            differing = [name.removesuffix("_sha256") for name, v in self._identity().items() if last[name] != v]
            raise TrainingError(
                f"the test split was opened on {last['opened_utc']} ({self.path}), with other {', '.join(differing)}",
                remedy="Judge the validation split (--side validation), or train into a new folder. To open it again "
                "and have that stand in the report: --open-again REASON.",
            )
        opening = asdict(self._now) | {"opened_utc": utc_iso(utc_now()), "reason": reason}
        self._append(opening)
        self._kept = {"openings": [*self.openings, opening]}
        write_description(self.path, self._kept)
        return None

    def keep(self, answers: Answers) -> None:
        """Keep the answers, so that the report can be made again without another opening."""
        self._kept["answers"] = {
            "keys": list(answers.keys),
            "logits": answers.logits.tolist(),
            "distances": answers.distances.tolist(),
        }
        write_description(self.path, self._kept)

    def _identity(self) -> dict[str, str]:
        return {name: getattr(self._now, name) for name in ("data_sha256", "image_sha256", "patient_sha256")}

    def _answers(self) -> Answers | None:
        kept = self._kept.get("answers")
        if kept is None:
            return None  # killed between opening and answering: the same opening goes on
        return Answers(
            tuple(kept["keys"]),
            np.asarray(kept["logits"], np.float64).reshape(-1, 3),
            np.asarray(kept["distances"], np.float64),
        )

    def _append(self, opening: dict[str, Any]) -> None:
        try:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(opening) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrainingError(
                f"the opening of the test split cannot be written to {self.log}: {error}",
                remedy="It must be on record before it is done: make that folder writable.",
            ) from error


def refuse_if_opened(experiment: Path) -> None:
    """Raise if a folder's test split has been opened: what is trained now would be another experiment.

    Raises
    ------
    TrainingError
        Naming the record.
    """
    if (experiment / OPENED).exists():
        raise TrainingError(
            f"{experiment} has seen its test split ({OPENED}): training again there would choose by it",
            remedy="Give a new --out: another training is another experiment.",
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["openings"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} cannot be read: {error}", remedy="Restore it; without it nobody knows what was seen."
        ) from error
    return content
