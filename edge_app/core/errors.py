"""One tree of errors, each with a stable code and a remedy.

::

    MsuError
    ├── ConfigError            E-001  settings file or command line
    ├── BundleError            E-101  model bundle missing, damaged or not understood
    │   └── BackendError       E-103  the inference backend cannot load or run a model
    ├── StoreError             E-200  the store cannot do what was asked
    │   └── DiskFullError      E-201  not enough space to promise durability
    ├── NetworkError           E-400  DICOM peer or link
    │   └── SendError          E-401  a peer did not accept an instance
    ├── InputError             E-500  a file or object that cannot be read
    │   ├── NotDicomError      E-501  not a DICOM object at all
    │   ├── HeaderError        E-502  an attribute is missing or senseless
    │   ├── PixelError         E-503  pixel data that cannot be decoded
    │   └── MismatchError      E-504  an object that is not the one it was announced as
    ├── ProcessError           E-600  a process did not start, or died
    ├── TrainingError          E-700  a data set or training run that cannot go on (workshop only)
    └── ExportError            E-800  a network that does not survive its way to ONNX (workshop only)
        └── EngineError        E-810  a TensorRT engine that cannot be built, or that no gate accepts

Codes of *refusals* (no AI result because of the images) are `Q-xx`; they are reasons, not errors, and live in
`edge_app.core.reasons`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

__all__ = [
    "BackendError",
    "BundleError",
    "ConfigError",
    "DiskFullError",
    "EngineError",
    "ExportError",
    "HeaderError",
    "InputError",
    "MismatchError",
    "MsuError",
    "NetworkError",
    "NotDicomError",
    "PixelError",
    "ProcessError",
    "SendError",
    "StoreError",
    "TrainingError",
]


class MsuError(Exception):
    """Something went wrong that a person can be told about.

    Parameters
    ----------
    message
        What happened, naming the thing (file, key, UID, peer).
    remedy
        What the reader can do about it.
    """

    code = "E-000"
    exit_code = 1
    """Exit code of the command line when this ends it; documented in README.md."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code} {self.message}. {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by their positional arguments alone; without the remedy a worker process's error
        # could not be unpickled, and would arrive as the death of the process.
        return partial(type(self), remedy=self.remedy), (self.message,)


class ConfigError(MsuError):
    """A settings file or command line that is refused; names file, key and value."""

    code = "E-001"
    exit_code = 78  # EX_CONFIG of sysexits.h: systemd must not restart for ever on this one


class BundleError(MsuError):
    """A model bundle that is missing, damaged or not understood."""

    code = "E-101"
    exit_code = 3


class BackendError(BundleError):
    """The inference backend cannot load or run a model."""

    code = "E-103"


class StoreError(MsuError):
    """The store cannot do what was asked."""

    code = "E-200"
    exit_code = 4


class DiskFullError(StoreError):
    """Not enough free space to promise that an instance is safe (answered as 0xA700)."""

    code = "E-201"


class NetworkError(MsuError):
    """A DICOM peer or link that does not answer as it should."""

    code = "E-400"
    exit_code = 5


class SendError(NetworkError):
    """A peer did not accept an instance."""

    code = "E-401"


class InputError(MsuError):
    """A file or object that cannot be read."""

    code = "E-500"
    exit_code = 6


class NotDicomError(InputError):
    """Not a DICOM object at all."""

    code = "E-501"


class HeaderError(InputError):
    """A DICOM attribute is missing or makes no sense."""

    code = "E-502"


class PixelError(InputError):
    """Pixel data that cannot be decoded."""

    code = "E-503"


class MismatchError(InputError):
    """An object that is not the one it was announced as (answered as 0xA900)."""

    code = "E-504"


class ProcessError(MsuError):
    """A process that did not start, or died."""

    code = "E-600"
    exit_code = 7


class TrainingError(MsuError):
    """A data set or training run that cannot go on."""

    code = "E-700"
    exit_code = 9


class ExportError(MsuError):
    """A network that does not survive its way to ONNX, or whose answers changed on it."""

    code = "E-800"
    exit_code = 8


class EngineError(ExportError):
    """A TensorRT engine that cannot be built on this device, or that the accuracy gate refuses."""

    code = "E-810"
