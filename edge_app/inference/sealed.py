"""A container whose index is signed and lists every other file with its hash: bundles and releases are read by this.

In this order: signature over the index, before anything else is believed; then the names, the size, and every hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_app.inference.signature import (
    MAX_SIGNATURE_BYTES,
    SIGNATURE_FILE,
    Kind,
    Signature,
    Signer,
    TrustedKeys,
    parse_signature,
)
from edge_app.store.containers import Files, hash_file, open_container, refusal, small_file

__all__ = ["MAX_INDEX_BYTES", "Sealed", "open_sealed"]

MAX_INDEX_BYTES = 4 << 20
"""Most that an index may hold; a bundle's has some 10 kB, a release's some 100 kB."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A container whose index was read; its other files are not believed before `check_files`."""

    path: Path
    kind: Kind
    index: str
    files: Files
    sizes: dict[str, int]
    raw: bytes
    """The index as it was signed."""
    signature: Signature | None
    signer: Signer | None
    """None where nobody asked who signed it."""

    def check_files(self, hashes: Mapping[str, str], *, called: str, most_bytes: int) -> None:
        """Hold every file against the hashes of the index.

        Parameters
        ----------
        called
            What refusals call the index.
        most_bytes
            That all files may hold together.

        Raises
        ------
        BundleError
            Naming what is missing, superfluous, changed, or too much.
        """
        if missing := sorted(set(hashes) - set(self.sizes)):
            raise refusal(self.kind, self.path, f"{missing[0]} is in {called} but not in the {self.kind}")
        if extra := sorted(set(self.sizes) - set(hashes) - {self.index, SIGNATURE_FILE}):
            raise refusal(self.kind, self.path, f"{extra[0]} is in the {self.kind} but not in {called}")
        if (held := sum(self.sizes.values())) > most_bytes:
            raise refusal(self.kind, self.path, f"its files hold {held} bytes, at most {most_bytes} are read")
        for name, wanted in sorted(hashes.items()):
            if hash_file(self.files, name) != wanted:
                raise refusal(self.kind, self.path, f"{name} does not have the hash that {called} gives")


def open_sealed(path: Path, kind: Kind, index: str, keys: TrustedKeys | None) -> Sealed:
    """Open a container and read its index.

    Parameters
    ----------
    keys
        Refuse what none of them signed; None: nobody asks.

    Raises
    ------
    BundleError
        If the index is missing or too large, or the signature is not one of these keys over it.
    """
    files = open_container(path, kind, index)
    sizes = files.sizes()
    raw = small_file(files, sizes, index, MAX_INDEX_BYTES, kind, path)
    signature = None
    if SIGNATURE_FILE in sizes:
        signed = small_file(files, sizes, SIGNATURE_FILE, MAX_SIGNATURE_BYTES, kind, path)
        signature = parse_signature(signed, f"{kind} {path}")
    signer = keys.check(kind, raw, signature, str(path)) if keys else None
    return Sealed(path, kind, index, files, sizes, raw, signature, signer)
