"""Which convolution kernels are sharp. Names are the vendors' own; the table is read from the top."""

from __future__ import annotations

import re

from edge_app.core.types import SliceHeader

__all__ = ["is_sharp"]

_SHARP_WORDS = re.compile(r"BONE|EDGE|SHARP|LUNG|OSTEO|KNOCHEN|DETAIL|INNER ?EAR|PETROUS|TEMPORAL", re.IGNORECASE)
"""GE BONE, BONEPLUS, EDGE, LUNG, DETAIL; the same words in descriptions of any vendor."""

_SIEMENS = re.compile(r"^[A-Z][a-z]?(\d{2,3})[a-z]?(\\\d)?\b")
"""H60s, J70h, Hr64f, Br69d: the first two digits rise with sharpness."""

_SIEMENS_SHARP = 60

_PHILIPS_SHARP = frozenset(("D", "E", "L", "YC", "YD", "YE", "UD", "UE"))
"""Philips (A soft … E sharp; second letter of U and Y filters)."""

_CANON_SHARP = re.compile(r"^FC(3\d|5\d|8\d)\b")
"""Canon and Toshiba: FC30–39 bone, FC50–59 lung, FC80–89 high resolution."""


def is_sharp(header: SliceHeader) -> bool:
    """Say whether a series was reconstructed for bone or lung: such images are not what the model was trained on.

    ConvolutionKernel decides. Where it is empty, SeriesDescription does; an unknown name counts as soft, because most
    scanners on the road name their brain kernels in ways no table holds.
    """
    kernel = header.convolution_kernel.strip()
    if not kernel:
        return bool(_SHARP_WORDS.search(header.series_description))
    if _SHARP_WORDS.search(kernel) or kernel.upper() in _PHILIPS_SHARP or _CANON_SHARP.match(kernel.upper()):
        return True
    siemens = _SIEMENS.match(kernel)
    return siemens is not None and int(siemens.group(1)[:2]) >= _SIEMENS_SHARP
