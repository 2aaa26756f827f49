"""What the subcommands of `msu` do, one small function each; everything heavy is imported inside them."""

from __future__ import annotations

__all__ = ["NOT_AS_EXPECTED"]

NOT_AS_EXPECTED = 8
"""Exit code of a command that ran to its end but found something wrong."""
