"""From anatomy to a picture: thick slices, noise, hardening of the beam, metal, motion and the table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge_app.simulator.anatomy import render
from edge_app.simulator.head import Head
from edge_app.simulator.lesions import Lesion
from edge_app.simulator.scanner import Personality
from edge_app.simulator.skull_base import SkullBase
from edge_app.simulator.texture import Image, ramp

__all__ = ["Acquisition", "Artefacts", "acquire", "reconstruction_circle"]

COARSE_MM = 1.1
"""In-plane step at which anatomy is evaluated; scanners' soft kernels resolve no more than this."""
NOISE_TILE = 1024


@dataclass(frozen=True, slots=True)
class Artefacts:
    """Which artefacts a study has; None lets the seed decide, with the same odds for every label."""

    motion: bool | None = None
    metal: bool | None = None
    tilt_deg: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Acquisition:
    """A reconstructed volume with its truth, slices from the neck upwards.

    ``hu`` int16 and ``lesion`` bool are ``(Z, H, W)``; ``positions_mm`` is ``(Z, 3)``, the centre of each first pixel;
    ``orientation`` holds the direction cosines of a row and of a column (PS3.3 C.7.6.2.1.1).
    """

    hu: npt.NDArray[np.int16]
    lesion: npt.NDArray[np.bool_]
    mean_change_hu: float
    positions_mm: npt.NDArray[np.float64]
    orientation: tuple[float, float, float, float, float, float]
    tilt_deg: float


@lru_cache(maxsize=16)
def _noise_tile(spacing_mm: float, grain_mm: float, ring: float) -> Image:
    """Unit-variance periodic noise with the power spectrum of filtered back-projection: a ramp, rolled off."""
    size = NOISE_TILE
    rng = np.random.default_rng(20230)
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]) / spacing_mm
    gain = (np.sqrt(f * grain_mm) * (1 - ring) + f * grain_mm * ring + 0.02) * np.exp(-((f * grain_mm * 1.25) ** 2))
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    tile = np.fft.irfft2(spectrum * gain, s=(size, size)).astype(np.float32)
    tile /= tile.std()
    tile.flags.writeable = False
    return tile


@lru_cache(maxsize=8)
def reconstruction_circle(matrix: int) -> npt.NDArray[np.bool_]:
    """Pixels inside the circle that a scanner reconstructs, ``(matrix, matrix)`` bool."""
    r = np.arange(matrix) - (matrix - 1) / 2
    circle: npt.NDArray[np.bool_] = r[:, None] ** 2 + r[None, :] ** 2 <= (matrix / 2) ** 2
    circle.flags.writeable = False
    return circle


def _table(p: Personality, rng: np.random.Generator, head_y: float, head_x: float, back_mm: float) -> Image:
    """Head rest and table top: thin shells of carbon fibre around foam; the same in every slice."""
    n, s = p.matrix, p.spacing_mm
    x = ((np.arange(n) - n / 2) * s - head_x).astype(np.float32)[None, :]
    y = ((np.arange(n) - n / 2) * s - head_y).astype(np.float32)[:, None]
    radius = rng.uniform(100, 118)
    gap = rng.uniform(1.5, 6.0)
    bowl = np.hypot(x, y - (back_mm + gap - radius)) - radius
    within = ramp(y - np.float32(back_mm * rng.uniform(0.2, 0.5)) + 0 * x, 3.0)
    image = np.full((n, n), -1000, dtype=np.float32)
    thick = rng.uniform(5, 12)
    shell = np.minimum(np.abs(bowl), np.abs(bowl - thick))
    image += ramp(np.float32(0.9) - shell, 1.2) * within * np.float32(rng.uniform(500, 850))
    image += ramp(np.float32(thick / 2) - np.abs(bowl - thick / 2)) * within * np.float32(rng.uniform(30, 90))
    top = y - np.float32(back_mm + gap + thick + 8) + np.float32(0.0006) * x * x
    image += ramp(np.float32(1.2) - np.abs(top)) * np.float32(700)
    return image


def _hardening(hu: Image, strength: float) -> Image | None:
    """Dark bands between dense bones, from the bone to either side of each point along four directions."""
    bone = np.clip(hu - 350, 0, 1300) * np.float32(COARSE_MM / 1000.0)
    total = bone.sum(axis=1)
    if float(total.max()) < 38.0:
        return None
    band = np.zeros_like(hu)
    height, width = hu.shape
    for degrees in (-14.0, -5.0, 4.0, 13.0):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        turned = cv2.warpAffine(bone, turn, (width, height))
        left = np.cumsum(turned, axis=1, dtype=np.float32)
        right = left[:, -1:] - left
        both = np.sqrt(np.maximum(left * right, 0)) - np.float32(11.0)
        both = np.minimum(np.maximum(both, 0), 22)
        band += cv2.warpAffine(both, cv2.invertAffineTransform(turn), (width, height))
    band *= np.float32(-0.32 * strength)
    soft: Image = cv2.GaussianBlur(band, (0, 0), 1.0)
    return soft


def _metal(p: Personality, rng: np.random.Generator, x_mm: float, y_mm: float) -> Image:
    """Streaks that radiate from a clip, with the clip itself."""
    n, s = p.matrix, p.spacing_mm
    x = ((np.arange(n) - n / 2) * s - x_mm).astype(np.float32)[None, :]
    y = ((np.arange(n) - n / 2) * s - y_mm).astype(np.float32)[:, None]
    r = np.hypot(x, y)
    rays = cv2.GaussianBlur(rng.standard_normal((1, 720)).astype(np.float32), (0, 0), 2.5)
    at = (np.arctan2(y, x) * np.float32(360 / np.pi) + np.float32(360)).astype(np.float32)
    star = cv2.remap(rays, at, np.zeros_like(at), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    streaks: Image = star * np.float32(5200) / (r + 6) + ramp(np.float32(2.5) - r) * 2500
    return streaks


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """The coarse grid: scanner coordinates of its points relative to a slice, and its place in the matrix."""

    x: Image
    y: Image
    z: Image
    to_matrix: npt.NDArray[np.float64]

    @classmethod
    def around(cls, head: Head, p: Personality, tilt: float) -> _Grid:
        half_x = head.half_width_mm * head.scale[0] * 1.06 + 10
        half_y = head.half_length_mm * head.scale[1] + 9
        cx, cy, _ = head.pose.centre_mm
        x, y = np.meshgrid(
            np.arange(cx - half_x, cx + half_x, COARSE_MM, dtype=np.float32),
            np.arange(cy - half_y, cy + half_y, COARSE_MM, dtype=np.float32),
        )
        scale, middle = COARSE_MM / p.spacing_mm, p.matrix / 2
        to_matrix = np.array(
            [
                [scale, 0, (cx - half_x) / p.spacing_mm + middle],
                [0, scale, (cy - half_y) / p.spacing_mm + middle],
            ]
        )
        return cls(x, (y * np.float32(np.cos(tilt))), (y * np.float32(np.sin(tilt))), to_matrix)


def acquire(
    head: Head,
    base: SkullBase,
    lesion: Lesion | None,
    personality: Personality,
    artefacts: Artefacts,
    rng: np.random.Generator,
) -> Acquisition:
    """Scan a head from below the orbits to above the vertex.

    Parameters
    ----------
    rng
        Chance of this acquisition only; it is used the same way whatever the label, so that noise, artefacts and
        coverage carry no trace of it.
    """
    p, n = personality, personality.matrix
    tilt_deg = p.tilt_deg + (rng.normal(0, 1.5) if p.tilt_deg else 0.0)
    tilt = np.deg2rad(artefacts.tilt_deg if artefacts.tilt_deg is not None else tilt_deg)
    # Slices stay edge to edge along their normal, so a tilted table must move a little further.
    step = p.slice_mm / np.cos(tilt)
    cz = float(head.pose.centre_mm[2])
    bottom = cz - 66.0 * head.scale[2] - rng.uniform(0, 5)
    top = cz + 79.0 * head.scale[2] + rng.uniform(1, 7) + abs(np.sin(tilt)) * 20
    count = max(int(np.ceil((top - bottom) / step)), int(np.ceil(132.0 / p.slice_mm)))
    motion_draw, metal_draw = rng.random(2)
    motion = artefacts.motion if artefacts.motion is not None else bool(motion_draw < 0.08)
    metal = artefacts.metal if artefacts.metal is not None else bool(metal_draw < 0.06)
    moved = range(*sorted(int(v) for v in rng.integers(0, count, 2))) if motion else range(0)
    metal_at = int(rng.integers(count // 4, count // 2))
    star = _metal(p, rng, *(head.pose.centre_mm[:2] + rng.uniform(-30, 30, 2))) if metal else None

    grid = _Grid.around(head, p, float(tilt))
    table = _table(p, rng, head.pose.centre_mm[1], head.pose.centre_mm[0], head.half_length_mm * head.scale[1])
    pixel = (np.arange(n) - n / 2) * p.spacing_mm
    r2 = (pixel[:, None] ** 2 + pixel[None, :] ** 2).astype(np.float32)
    focus = np.exp(r2 * np.float32(-1 / 90.0**2))
    noise_map = (np.float32(0.45) + np.float32(0.55) * focus) * np.float32(p.noise_hu / np.sqrt(2))
    cup = focus * np.float32(-p.cupping_hu) + np.float32(0.6 * p.cupping_hu)
    tile = _noise_tile(p.spacing_mm, p.grain_mm, p.ring)
    outside = ~reconstruction_circle(n)
    low, high = max(-1024, p.intercept if not p.signed else -1024), 3071

    hu = np.empty((count, n, n), dtype=np.int16)
    mask = np.zeros((count, n, n), dtype=np.bool_)
    change_sum = change_weight = 0.0
    parts = max(1, round(p.slice_mm / 2.6))
    for k in range(count):
        coarse, fraction, change = _thick_slice(head, base, lesion, grid, bottom + k * step, step / parts, parts)
        dense = float((coarse > 300).mean())
        band = _hardening(coarse, p.hardening)
        if band is not None:
            coarse += band
        coarse = cv2.GaussianBlur(coarse, (0, 0), 0.55)
        image = cv2.warpAffine(
            coarse, grid.to_matrix, (n, n), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-1000.0
        )
        if k in moved:
            image = _moved(image, rng)
        np.maximum(image, table, out=image)
        np.add(image, cup, out=image, where=image > -500)  # air is calibrated to -1000
        if star is not None and abs(k - metal_at) * p.slice_mm <= 7:
            image += star
        image += _noise(tile, noise_map, n, rng) * np.float32(0.8 + 1.6 * dense)
        image[outside] = -1000
        np.clip(image, low, high, out=image)
        np.rint(image, out=image)
        hu[k] = image
        if fraction is not None and change is not None and lesion is not None:
            whole = cv2.warpAffine(fraction, grid.to_matrix, (n, n), flags=cv2.INTER_LINEAR)
            np.greater_equal(whole, lesion.mask_threshold, out=mask[k])
            weight = fraction >= lesion.mask_threshold
            change_sum += float(change[weight].sum())
            change_weight += float(weight.sum())
    cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
    half = n / 2 * p.spacing_mm
    positions = np.array([[-half, -half * cos, bottom + k * step - half * sin] for k in range(count)])
    mean_change = change_sum / change_weight if change_weight else 0.0
    return Acquisition(hu, mask, mean_change, positions, (1.0, 0.0, 0.0, 0.0, cos, sin), float(np.rad2deg(tilt)))


def _thick_slice(
    head: Head, base: SkullBase, lesion: Lesion | None, grid: _Grid, z: float, part_mm: float, parts: int
) -> tuple[Image, Image | None, Image | None]:
    """Average thin planes across one slice: HU, fraction of lesion, and its change of HU."""
    total: Image | None = None
    fraction: Image | None = None
    change: Image | None = None
    for j in range(parts):
        offset = np.float32(z + (j - (parts - 1) / 2) * part_mm)
        plane = head.plane(grid.x, grid.y, grid.z + offset)
        found = render(head, base, plane, lesion)
        total = found.hu if total is None else np.add(total, found.hu, out=total)
        if found.lesion is not None and found.change_hu is not None:
            fraction = found.lesion if fraction is None else fraction + found.lesion
            change = found.change_hu if change is None else change + found.change_hu
    if total is None:
        raise ValueError("a slice needs at least one plane")
    share = np.float32(1 / parts)
    return total * share, None if fraction is None else fraction * share, None if change is None else change * share


def _noise(tile: Image, strength: Image, n: int, rng: np.random.Generator) -> Image:
    """Cut fresh noise from the tile: two windows at random places, one of them mirrored."""
    i, j, k, m = (int(v) for v in rng.integers(0, NOISE_TILE - n, 4))
    noise: Image = tile[i : i + n, j : j + n] + tile[k : k + n, m : m + n][::-1, ::-1].T
    noise *= strength
    return noise


def _moved(image: Image, rng: np.random.Generator) -> Image:
    """Mix a slice with itself turned and shifted: the head moved while it was taken."""
    n = image.shape[0]
    turn = cv2.getRotationMatrix2D((n / 2, n / 2), float(rng.normal(0, 2.0)), 1.0)
    turn[:, 2] += rng.normal(0, 4.0, 2)
    ghost = cv2.warpAffine(image, turn, (n, n), borderMode=cv2.BORDER_CONSTANT, borderValue=-1000.0)
    share = np.float32(rng.uniform(0.2, 0.5))
    mixed: Image = image * (1 - share) + ghost * share
    return mixed
