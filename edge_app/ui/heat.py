"""The heat map over a slice (R37): where the model looked, never more than 40 % opaque."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QTransform

from edge_app.core.saliency import evidence
from edge_app.store.paths import uid_hash

__all__ = ["MAX_ALPHA", "HeatMap", "heat_image", "load_heat_maps", "paint_heat"]

MAX_ALPHA = 0.4
_RGB = (255, 64, 208)
"""Magenta: no result, alarm or theme colour."""

_FINE = 8
"""Coarse maps (7×7) are interpolated this much finer, so that no square edges pretend to be borders."""

_MODEL_INPUT = 224
"""Pixels of the model input, in which `to_slice` counts."""


@dataclass(frozen=True, eq=False, slots=True)
class HeatMap:
    """An overlay and the way from its pixels to those of the slice."""

    image: QImage
    to_slice: QTransform


def load_heat_maps(path: Path, sop_uids: tuple[str, ...], label: str) -> Mapping[str, HeatMap]:
    """Return the overlays of one class by SOP Instance UID; empty when the file is not there or damaged.

    Parameters
    ----------
    path
        What `edge_app.worker.publish.publish_saliency` wrote.
    label
        Finding whose map is shown: ``hemorrhage`` or ``ischemic``.
    """
    maps: dict[str, HeatMap] = {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            names = {sop_uid: uid_hash(sop_uid) for sop_uid in sop_uids}
            found = {
                sop_uid: evidence(np.asarray(arrays[name], np.float32), label)
                for sop_uid, name in names.items()
                if name in arrays and f"{name}.to_slice" in arrays
            }
            # One scale for the whole study: a slice on which the model saw little must look like that.
            peak = max((float(np.nanmax(saliency, initial=0.0)) for saliency in found.values()), default=0.0)
            for sop_uid, saliency in found.items():
                to_slice = np.asarray(arrays[f"{names[sop_uid]}.to_slice"], np.float64)
                maps[sop_uid] = _heat_map(saliency, peak, to_slice)
    except (OSError, ValueError, IndexError, zipfile.BadZipFile):
        return {}
    return maps


def heat_image(saliency: NDArray[np.float32], peak: float) -> QImage:
    """Return a map (h, w) as a premultiplied overlay: its positive part, 40 % opaque where it reaches `peak`."""
    positive = np.nan_to_num(np.maximum(saliency, 0.0))
    fine = _interpolate(positive, _FINE)
    alpha = np.clip(fine / peak, 0.0, 1.0) * MAX_ALPHA if peak > 0 else np.zeros_like(fine)
    rgba = np.empty((*fine.shape, 4), np.uint8)
    for channel, level in enumerate(_RGB):
        rgba[..., channel] = np.floor(alpha * level)
    rgba[..., 3] = np.floor(alpha * 255)
    height, width = fine.shape
    return QImage(rgba.data, width, height, 4 * width, QImage.Format.Format_RGBA8888_Premultiplied).copy()


def _interpolate(coarse: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Return a map made finer by bilinear interpolation; pixel areas stay where they are."""
    fine = coarse
    for axis in (0, 1):
        count = coarse.shape[axis]
        at = np.clip((np.arange(count * factor) + 0.5) / factor - 0.5, 0, count - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, count - 1)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1)).astype(np.float32)
        fine = np.take(fine, low, axis) * (1 - share) + np.take(fine, high, axis) * share
    return fine


def _heat_map(saliency: NDArray[np.float32], peak: float, to_slice: NDArray[np.float64]) -> HeatMap:
    image = heat_image(saliency, peak)
    # Overlay pixel edges → model input pixel centres → slice pixel centres → slice pixel edges.
    scale_x, scale_y = _MODEL_INPUT / image.width(), _MODEL_INPUT / image.height()
    (a, b, tx), (c, d, ty) = to_slice.tolist()
    transform = (
        QTransform.fromScale(scale_x, scale_y)
        * QTransform.fromTranslate(-0.5, -0.5)
        * QTransform(a, c, b, d, tx, ty)
        * QTransform.fromTranslate(0.5, 0.5)
    )
    return HeatMap(image, transform)


def paint_heat(painter: QPainter, box: QRectF, slice_size: QSize, heat: HeatMap) -> None:
    """Paint an overlay where its slice was painted into `box`."""
    painter.save()
    painter.setClipRect(box, Qt.ClipOperation.IntersectClip)
    painter.translate(box.topLeft())
    painter.scale(box.width() / slice_size.width(), box.height() / slice_size.height())
    painter.setTransform(heat.to_slice, combine=True)
    painter.drawImage(0, 0, heat.image)
    painter.restore()
