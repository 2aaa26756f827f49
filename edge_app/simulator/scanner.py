"""Scanner personalities: the invented machines whose habits the synthetic studies show.

Makers and models are fictional. The habits are not: each was seen in the headers of real scanners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PERSONALITIES", "TRAINING_PERSONALITIES", "UNSEEN_PERSONALITIES", "Personality"]

EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
RLE = "1.2.840.10008.1.2.5"
JPEG2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEGLS_LOSSLESS = "1.2.840.10008.1.2.4.80"


@dataclass(frozen=True, slots=True)
class Personality:
    """How one scanner takes a picture and writes it down.

    Attributes
    ----------
    matrix
        Rows and columns.
    spacing_mm, slice_mm
        Pixel spacing and slice thickness; slices lie edge to edge.
    intercept, bits_stored, signed, padding
        How HU become stored values: RescaleIntercept, BitsStored, PixelRepresentation, and PixelPaddingValue as stored
        outside the reconstruction circle (None: that area reads as air).
    noise_hu, grain_mm, ring
        Noise in the middle of the brain; its correlation length; weight of its high frequencies, 0..1.
    cupping_hu, hardening
        Darkening towards the middle, and strength of the dark bands between dense bones.
    tilt_deg
        Usual gantry tilt.
    transfer_syntax
        UID in which the scanner sends (PS3.5 Annex A).
    kernel, kvp, windows
        ConvolutionKernel, KVP, and (centre, width) pairs.
    writes_body_part, writes_age, instance_numbers, patient_position, names
        Tag habits.
    """

    name: str
    manufacturer: str
    model: str
    matrix: int = 512
    spacing_mm: float = 0.45
    slice_mm: float = 5.0
    intercept: int = -1024
    bits_stored: int = 12
    signed: bool = False
    padding: int | None = None
    noise_hu: float = 3.6
    grain_mm: float = 0.9
    ring: float = 0.6
    cupping_hu: float = 1.0
    hardening: float = 1.0
    tilt_deg: float = 0.0
    transfer_syntax: str = EXPLICIT_LE
    kernel: str = "H30"
    kvp: int = 120
    windows: tuple[tuple[int, int], ...] = ((40, 80),)
    writes_body_part: bool = True
    writes_age: bool = True
    instance_numbers: Literal["ascending", "descending", "all_one"] = "ascending"
    patient_position: Literal["HFS", "FFS"] = "HFS"
    names: Literal["plain", "umlaut", "ideographic"] = "plain"


_ALL = (
    Personality(
        "mobile8", "SYNTHETIC Mobilis", "SIM MobileCT 8", spacing_mm=0.49, padding=-2000, bits_stored=16, signed=True,
        noise_hu=5.2, grain_mm=1.1, cupping_hu=2.5, hardening=1.5, kernel="SOFT", writes_body_part=False,
        instance_numbers="descending",
    ),
    Personality(
        "fixed64", "SYNTHETIC Nordlicht", "SIM Fixed 64", spacing_mm=0.43, noise_hu=3.0, grain_mm=0.8,
        kernel="H31s", windows=((40, 80), (600, 2800)), transfer_syntax=JPEG2000_LOSSLESS, names="umlaut",
    ),
    Personality(
        "helix16", "SYNTHETIC Aster", "SIM Helix 16", spacing_mm=0.47, slice_mm=3.0, intercept=0, bits_stored=16,
        signed=True, noise_hu=4.4, grain_mm=1.0, kernel="FC21", transfer_syntax=IMPLICIT_LE, names="ideographic",
    ),
    Personality(
        "tilted4", "SYNTHETIC Orbis", "SIM Step 4", spacing_mm=0.45, slice_mm=5.0, intercept=-1000, noise_hu=4.2,
        grain_mm=1.2, ring=0.4, hardening=1.4, tilt_deg=14.0, kernel="STANDARD", instance_numbers="all_one",
    ),
    Personality(
        "wide320", "SYNTHETIC Kaminari", "SIM Wide 320", spacing_mm=0.43, intercept=-8192, bits_stored=16, padding=0,
        noise_hu=2.8, grain_mm=0.75, ring=0.8, hardening=0.6, kernel="FC26", writes_age=False, transfer_syntax=RLE,
    ),
    Personality(
        "trauma32", "SYNTHETIC Nordlicht", "SIM Trauma 32", spacing_mm=0.55, slice_mm=2.5, noise_hu=5.0,
        grain_mm=0.85, kernel="UB", transfer_syntax=JPEGLS_LOSSLESS, windows=((35, 85),), patient_position="FFS",
    ),
    Personality(
        "basic2", "SYNTHETIC Orbis", "SIM Basic 2", spacing_mm=0.5, slice_mm=6.0, intercept=-1024, padding=-2000,
        bits_stored=16, signed=True, noise_hu=4.6, grain_mm=1.3, ring=0.3, cupping_hu=3.0, hardening=1.7,
        kernel="HEAD", writes_body_part=False, writes_age=False, kvp=130,
    ),
    Personality(
        "mobile16", "SYNTHETIC Mobilis", "SIM MobileCT 16", spacing_mm=0.52, noise_hu=4.8, grain_mm=1.0,
        cupping_hu=2.0, hardening=1.3, kernel="POST_FOSSA", instance_numbers="descending", kvp=120,
    ),
    Personality(
        "unseen_mobile32", "SYNTHETIC Vagus", "SIM Nomad 32", spacing_mm=0.46, intercept=-1024, bits_stored=16,
        signed=True, padding=-2000, noise_hu=4.9, grain_mm=0.95, cupping_hu=1.8, hardening=1.2, kernel="Hr36",
        windows=((40, 80), (80, 200)), names="umlaut",
    ),
    Personality(
        "unseen_dual", "SYNTHETIC Helvetia", "SIM Dual 128", matrix=768, spacing_mm=0.30, slice_mm=3.0,
        intercept=-8192, bits_stored=16, noise_hu=4.0, grain_mm=0.7, ring=0.7, kernel="Hr40",
        transfer_syntax=JPEG2000_LOSSLESS, writes_age=False,
    ),
    Personality(
        "unseen_tilted", "SYNTHETIC Pallas", "SIM Gantry 6", spacing_mm=0.48, slice_mm=4.8, intercept=-1000,
        noise_hu=4.5, grain_mm=1.25, ring=0.35, tilt_deg=-10.0, hardening=1.6, kernel="BRAIN", padding=4095,
        instance_numbers="all_one", writes_body_part=False, transfer_syntax=IMPLICIT_LE,
    ),
    Personality(
        "unseen_thin", "SYNTHETIC Kaminari", "SIM Slice 80", spacing_mm=0.42, slice_mm=1.25, intercept=0,
        bits_stored=16, signed=True, noise_hu=7.0, grain_mm=0.8, kernel="FC68", transfer_syntax=RLE,
        names="ideographic", instance_numbers="descending",
    ),
)  # fmt: skip

PERSONALITIES: dict[str, Personality] = {p.name: p for p in _ALL}
"""Every machine, by name."""
UNSEEN_PERSONALITIES: tuple[Personality, ...] = tuple(p for p in _ALL if p.name.startswith("unseen_"))
"""Machines kept for testing: no training set may hold them."""
TRAINING_PERSONALITIES: tuple[Personality, ...] = tuple(p for p in _ALL if not p.name.startswith("unseen_"))
"""Machines that training sets are drawn from."""
