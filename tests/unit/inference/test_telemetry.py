"""What runs the networks reports to nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edge_app.inference.bundle import demo_bundle_path

LOAD = "import sys; from pathlib import Path; from edge_app.inference.onnx_backend import OnnxBackend as B; "


def test_loading_a_network_leaves_no_device_identifier_and_nothing_to_be_reported(tmp_path: Path) -> None:
    network = demo_bundle_path() / "patient.onnx"
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-B", "-c", f"{LOAD}B(Path(sys.argv[1]))", str(network)],
        env=environment | home,
        check=True,
    )
    assert list(tmp_path.rglob("*")) == []
