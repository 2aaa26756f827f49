"""Qt draws offscreen in these tests; one application serves them all."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"
