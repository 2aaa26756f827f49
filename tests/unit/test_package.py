"""What the package promises as a whole: light to import, no torch, layers kept."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import edge_app


def _loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_command_line_loads_nothing_heavy() -> None:
    loaded = _loaded_after("import edge_app.cli; edge_app.cli._parser()")
    assert not loaded & {"numpy", "pydantic", "pydicom", "pynetdicom", "cv2", "onnxruntime", "PySide6", "rich"}


def test_no_module_of_the_vehicle_loads_torch() -> None:
    names = [m.name for m in pkgutil.walk_packages(edge_app.__path__, "edge_app.") if not m.name.endswith("__main__")]
    loaded = _loaded_after("\n".join(f"import {name}" for name in names))
    assert not loaded & {"torch", "torchvision", "training", "export", "calibration"}
