"""How much damage inside compressed pixels is found: one slice of a head, one wrong byte or sixteen at a time.

    python -m tests.benchmarks.gate_damage [--tries 40]

Needs dcmtk's dcmcjpeg (deploy/system-packages.sh test). Damage that changes fewer than `HARMLESS_PIXELS` by more than
`HARMLESS_HU` is counted apart: a reader would not see it either.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames

from edge_app.core.errors import PixelError
from edge_app.series import check, check_quality, decode_slice, make_candidates, measure_slice, read_header
from tests.degraded import clean_head, measured

HARMLESS_PIXELS, HARMLESS_HU = 2000, 50
LENGTHS = (1, 16)


def compressed(ds: Dataset, folder: Path) -> Iterator[Dataset]:
    """Return the slice in each lossless coding that is worth damaging."""
    ds.save_as(folder / "plain.dcm", enforce_file_format=True)
    for option in ("+e1", "+el"):
        subprocess.run(["/usr/bin/dcmcjpeg", option, folder / "plain.dcm", folder / "jpeg.dcm"], check=True)
        yield dcmread(folder / "jpeg.dcm")
    for syntax, plugin in (("1.2.840.10008.1.2.4.90", "pylibjpeg"), ("1.2.840.10008.1.2.5", "pydicom")):
        copy = deepcopy(ds)
        copy.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        yield copy


def main() -> None:
    """Damage, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=40)
    tries = parser.parse_args().tries
    _, objects = clean_head(45_000_000, "hemorrhage", "fixed64")
    headers, measures = measured(objects)
    with tempfile.TemporaryDirectory() as folder:
        for ds in compressed(objects[len(objects) // 2], Path(folder)):
            good = decode_slice(ds, read_header(ds)).hu.astype(int)
            (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
            for length in LENGTHS:
                rng, count = np.random.default_rng(length), Counter[str]()
                for _ in range(tries):
                    damaged = bytearray(frame)
                    at = int(rng.integers(len(frame) // 10, len(frame) - 20))
                    damaged[at : at + length] = bytes(b ^ int(rng.integers(1, 256)) for b in damaged[at : at + length])
                    ds.PixelData = encapsulate([bytes(damaged)])
                    ds["PixelData"].is_undefined_length = True
                    try:
                        image = decode_slice(ds, read_header(ds))
                    except PixelError:
                        count["not decoded"] += 1
                        continue
                    if np.count_nonzero(np.abs(image.hu - good) > HARMLESS_HU) < HARMLESS_PIXELS:
                        count["harmless"] += 1
                        continue
                    (candidate,) = make_candidates(headers, {**measures, image.sop_uid: measure_slice(image)})
                    assert candidate.stack is not None
                    seen = candidate.stack, candidate.measures
                    count["found" if check(*seen) or check_quality(*seen) else "missed"] += 1
                sys.stdout.write(f"{ds.file_meta.TransferSyntaxUID} {length:2} bytes: {dict(count)}\n")


if __name__ == "__main__":
    main()
