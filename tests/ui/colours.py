"""Contrast, distance and colour blindness of rendered colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

Rgb = NDArray[np.float64]

MACHADO = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""Machado, Oliveira and Fernandes 2009, severity 1.0; for linear RGB."""

_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ.sum(axis=1)


def pixels(widget: QWidget) -> NDArray[np.uint8]:
    """Return a picture of a widget, (H, W, 3) uint8 RGB."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def linear(rgb: NDArray[np.uint8]) -> Rgb:
    """Return sRGB bytes as linear light, 0 to 1."""
    share = rgb.astype(np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(rgb: NDArray[np.uint8]) -> Rgb:
    """Return the relative luminance of WCAG 2.2."""
    return linear(rgb) @ np.array([0.2126, 0.7152, 0.0722])


def contrast(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    low, high = sorted((float(luminance(first)), float(luminance(second))))
    return (high + 0.05) / (low + 0.05)


def as_seen(rgb: NDArray[np.uint8], vision: str) -> Rgb:
    """Return linear RGB as a kind of vision sees it."""
    return np.clip(linear(rgb) @ MACHADO[vision].T, 0, 1)


def delta_e(first: Rgb, second: Rgb) -> float:
    """Return the CIE 1976 distance of two colours in linear RGB."""
    return float(np.linalg.norm(_lab(first) - _lab(second)))


def _lab(rgb: Rgb) -> Rgb:
    ratio = (_XYZ @ rgb) / _WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def commonest(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colour that covers most of a picture."""
    values, counts = histogram(picture)
    return values[np.argmax(counts)]


def histogram(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Return the colours of a picture (N, 3) and how often each is there."""
    flat = picture.reshape(-1, 3).astype(np.uint32)
    packed, counts = np.unique((flat[:, 0] << 16) | (flat[:, 1] << 8) | flat[:, 2], return_counts=True)
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.uint8)
    return colours, counts
