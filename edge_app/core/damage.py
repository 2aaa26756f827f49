"""What reading damaged or hostile DICOM may raise, in one place for all who read it."""

from __future__ import annotations

import struct
import zlib

from pydicom.errors import BytesLengthException

__all__ = ["PYDICOM_ERRORS"]

PYDICOM_ERRORS = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,  # an Exception and nothing more
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # also RecursionError (deep nesting) and NotImplementedError
    TypeError,
    ValueError,  # also UnicodeError
    struct.error,
    zlib.error,
)
"""What pydicom and its decoders raise on damaged or hostile input: they promise no exception type of their own."""
