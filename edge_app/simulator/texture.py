"""Band-limited random textures: the raw material of folds, marrow, air cells and scanner noise.

Everything here is periodic, so that a texture can be looked up at any coordinate without a seam.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
"""A two-dimensional float32 array ``(H, W)``."""

TEXTURE_SIZE = 256
"""Texels along each side of a patient's textures; one texel is one millimetre."""


def band_texture(rng: np.random.Generator, wavelength_mm: float, *, octaves: float = 0.35) -> Image:
    """Draw a periodic field of unit variance whose power sits around one wavelength.

    Parameters
    ----------
    rng
        Source of randomness.
    wavelength_mm
        Centre wavelength in millimetres (texels).
    octaves
        Standard deviation of the band in natural-log units of frequency; small is a labyrinth, large is a cloud.
    """
    size = TEXTURE_SIZE
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1e-9
    gain = np.exp(-0.5 * (np.log(frequency * wavelength_mm) / octaves) ** 2).astype(np.float32)
    gain[0, 0] = 0.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    field = np.fft.irfft2(spectrum * gain, s=(size, size))
    return np.ascontiguousarray(field / field.std(), dtype=np.float32)


def fold_distance(rng: np.random.Generator, wavelength_mm: float) -> Image:
    """Draw a labyrinth of lines and return the signed distance to the nearest one, in millimetres.

    The zero level of narrow-band noise wanders like the sulci seen on the surface of a brain. Dividing by the local
    gradient turns the level into a distance, so that a sulcus can be given a width.
    """
    field = band_texture(rng, wavelength_mm, octaves=0.16)
    dx = 0.5 * (np.roll(field, -1, 1) - np.roll(field, 1, 1))
    dy = 0.5 * (np.roll(field, -1, 0) - np.roll(field, 1, 0))
    slope = np.sqrt(dx * dx + dy * dy + np.float32(0.35 * 2 * np.pi / wavelength_mm) ** 2)
    distance: Image = np.clip(field / slope, -9, 9).astype(np.float32)
    return distance


def look_up(texture: Image, x_mm: Image, y_mm: Image) -> Image:
    """Sample a periodic texture bilinearly at coordinates in millimetres, arrays ``(H, W)`` float32."""
    found: Image = cv2.remap(texture, x_mm, y_mm, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return found


def look_up_smooth(texture: Image, x_mm: Image, y_mm: Image) -> Image:
    """Sample a slowly varying texture at every other point and interpolate: four times cheaper than `look_up`."""
    coarse = look_up(texture, np.ascontiguousarray(x_mm[::2, ::2]), np.ascontiguousarray(y_mm[::2, ::2]))
    found: Image = cv2.resize(coarse, x_mm.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return found


def ramp(distance_mm: Image, width_mm: float = 1.0) -> Image:
    """Soft step from 0 to 1 across ``width_mm`` around zero; the in-plane partial volume of an edge."""
    out: Image = distance_mm * np.float32(1.0 / width_mm)
    out += np.float32(0.5)
    np.clip(out, 0.0, 1.0, out=out)
    return out


def blend(image: Image, value: float | Image, fraction: Image) -> None:
    """Mix ``value`` into ``image`` in place by ``fraction`` in [0, 1]."""
    image += (value - image) * fraction
