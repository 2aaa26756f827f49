"""The self-test's head and its golden answer: ``python -m edge_app.processes.phantom SETTINGS KEY FOLDER``.

A process of its own, so that the watch stays small: it makes the study, writes it to the folder, runs it through the
bundle's networks in FP32 on ONNX Runtime, and prints what came out as one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge_app.core.config import Settings, load_settings
from edge_app.core.errors import MsuError, ProcessError
from edge_app.core.types import StudyStatus
from edge_app.store.ledger import Ledger
from edge_app.store.self_tests import CALLING_AET
from edge_app.watch.self_test import Answer, Phantom

__all__ = ["main", "prepare"]

SEED, PERSONALITY = 70_001, "mobile16"
"""A head with a large bleed, from a scanner like the vehicle's; no training or demo uses this seed."""

TIMEOUT_S = 120.0


def prepare(ledger: Ledger, settings: Settings, folder: Path, key: str) -> Phantom:
    """Let another process make the study in `folder`; returns it ready to be sent.

    Raises
    ------
    ProcessError
        If it cannot be made or judged.
    """
    with tempfile.TemporaryDirectory() as beside:
        written = Path(beside) / "settings.toml"
        written.write_text(settings.to_toml(), encoding="utf-8")
        told = _run([sys.executable, "-m", "edge_app.processes.phantom", str(written), key, str(folder)])
    try:
        body = json.loads(told)
        golden = Answer(StudyStatus(body["status"]), body["verdict"], body["probabilities"])
        study_uid = str(body["study_uid"])
    except (ValueError, KeyError) as error:
        raise ProcessError(f"the phantom's answer cannot be read: {error}", remedy="Install again.") from error

    def send() -> None:
        beat = ledger.heartbeats().get("receive")
        detail = beat.detail if beat else {}
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(str(detail.get("host")), str(detail.get("host")))
        peer = f"{detail.get('aet')}@{host}:{detail.get('port')}"
        _run([sys.executable, "-m", "edge_app", "send", str(folder), "--to", peer, "--from", CALLING_AET])

    return Phantom(study_uid, golden, send)


def main(arguments: Sequence[str]) -> int:
    """Make the study, judge it and print the answer."""
    from edge_app.core.logs import setup_logging
    from edge_app.inference.installed import with_installed_bundle
    from edge_app.simulator import make_study, write_study
    from edge_app.worker.models import load_models
    from edge_app.worker.offline import analyse_paths

    settings_file, key, folder = arguments
    setup_logging()
    try:
        settings = load_settings(Path(settings_file))
        study = make_study(SEED, "hemorrhage", personality=PERSONALITY)
        write_study(study, Path(folder), study_key=key)
        # A folder without engines: the reference is the network itself, not what was built of it.
        named = with_installed_bundle(settings)
        reference = named.model_copy(update={"engines": str(Path(folder) / "no-engines")})
        with load_models(reference) as models:
            (result,) = analyse_paths([Path(folder)], models, reference)
    except MsuError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    answer = Answer.of(result)
    body = {"status": answer.status.value, "verdict": answer.verdict, "probabilities": answer.probabilities}
    sys.stdout.write(json.dumps({"study_uid": result.study_uid, **body}) + "\n")
    return 0


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"the self-test's own process took over {TIMEOUT_S:.0f} s", remedy="Restart.") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ProcessError(f"self-test: {said}", remedy="Is MSU-SELFTEST among receiver.peers? See the log.")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
