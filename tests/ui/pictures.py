"""Draw every scene: `python -m tests.ui.pictures FOLDER [--theme day] [--language de] [--panel 12.1] [SCENE...]`."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from tests.ui.harness import open_scene
from tests.ui.scenes import SCENES


def main() -> None:
    """Write one PNG per scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenes", nargs="*", default=list(SCENES))
    parser.add_argument("--theme", default="night")
    parser.add_argument("--language", default="en")
    parser.add_argument("--panel", default="12.1")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.scenes:
        with tempfile.TemporaryDirectory() as root:
            options = {"theme": arguments.theme, "language": arguments.language, "panel": arguments.panel}
            with open_scene(name, Path(root), **options) as screen:
                bad = [words.words for words in screen.window.texts if not words.fits]
                bad += [button.text() for button in screen.window.buttons if not button.fits]
                print(name, screen.model.state.value, "CUT OFF: " + str(bad) if bad else "")  # noqa: T201
                screen.save(arguments.folder / f"{name}.png")


if __name__ == "__main__":
    main()
