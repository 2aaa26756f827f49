"""The anatomy of one plane: scalp, skull, brain with its folds, and the spaces that hold fluid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.simulator.deep import paint_deep_structures
from edge_app.simulator.head import Head
from edge_app.simulator.lesions import Lesion
from edge_app.simulator.plane import Compartments, Plane
from edge_app.simulator.skull_base import SkullBase, paint_face
from edge_app.simulator.texture import Image, blend, look_up, look_up_smooth, ramp

__all__ = ["Rendering", "render"]

FAT_HU, MUSCLE_HU, SKIN_HU = -95.0, 54.0, 40.0
CORTICAL_HU, DIPLOE_HU = 1450.0, 650.0
CORTEX_MM = 3.4
"""Thickness of the cerebral cortex."""


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """One noise-free plane, ``(H, W)`` float32 each.

    Attributes
    ----------
    hu
        Hounsfield units.
    lesion
        Fraction of each point that is lesion; None where the plane does not meet it.
    change_hu
        What the lesion added to each point; None likewise.
    tissue
        Where the anatomy put what.
    """

    hu: Image
    lesion: Image | None
    change_hu: Image | None
    tissue: Compartments


@dataclass(frozen=True, slots=True, eq=False)
class _Shell:
    """The outer layers: distance below the skin and below the inner table."""

    below_skin: Image
    below_skull: Image
    skull_mm: Image
    radius: Image
    up: Image


def _shell(head: Head, plane: Plane) -> _Shell:
    """Measure every point against the egg-shaped head."""
    x, y, z = plane.x, plane.y, plane.z
    width = (y * np.float32(head.egg / 60.0) + np.float32(1.0)) * np.float32(head.half_width_mm)
    # A head is blunter than an ellipse seen from above: lift the sides a little.
    np.minimum(width, np.float32(head.half_width_mm * 1.06), out=width)
    qx = x / width
    qy = y * np.float32(1.0 / head.half_length_mm)
    up = np.maximum(z, 0) * np.float32(1 / 77.0)
    dome = up * up * up
    low = np.minimum(z, 0) * np.float32(1 / 175.0)
    qx *= qx
    qy *= qy
    blunt = qx * qy
    qx += qy
    qx += dome
    qx += low * low
    # The face below the forehead is flat and wide.
    qx -= blunt * (np.float32(0.35) - np.clip(y * np.float32(0.01), -0.45, 0) * np.clip(low * -8, 0, 1))
    rho = np.sqrt(np.maximum(qx, np.float32(1e-4)))
    zc = np.maximum(z, np.float32(-25.0))
    radius = np.sqrt(x * x + y * y + zc * zc)
    below_skin = radius * (np.float32(1.0) / rho - np.float32(1.0))
    # The cubed height flattens the dome, and steepens the measure there by up to one and a half.
    below_skin /= np.float32(1.0) + np.float32(0.5) * dome / np.square(rho)
    # The skin below the ears belongs to jaw and neck, which the scalp's thickness stands for.
    scalp = np.float32(head.scalp_mm) + np.clip((np.float32(-12.0) - z) * np.float32(0.22), 0, 7)
    texture = look_up_smooth(head.clouds, x + y, z * np.float32(1.5) - y)
    skull = np.float32(head.skull_mm) * (1 - np.float32(0.3) * dome) + texture * np.float32(0.6)
    skull += np.clip(np.abs(y) * np.float32(0.05) - np.float32(2.5), -1, 3)
    return _Shell(below_skin, below_skin - scalp - skull, skull, radius, zc)


def _paint_shell(head: Head, plane: Plane, shell: _Shell, hu: Image) -> None:
    """Skin, fat, muscle and the three layers of the skull."""
    skin = shell.below_skin
    blend(hu, SKIN_HU, ramp(skin))
    blend(hu, FAT_HU, ramp(skin - np.float32(1.8)))
    outer = -(shell.below_skull + shell.skull_mm)
    muscle = np.clip((np.float32(20.0) - plane.z) * np.float32(0.12), 0.8, 7.0)
    strands = look_up(head.cells, plane.x, plane.y + plane.z)
    blend(hu, MUSCLE_HU, ramp(muscle - outer + strands * np.float32(0.15)))
    blend(hu, CORTICAL_HU, ramp(-outer))
    middle = np.abs(shell.below_skull + shell.skull_mm * np.float32(0.5))
    marrow = ramp(shell.skull_mm * np.float32(0.5) - np.float32(1.9) - middle, 1.2)
    blend(hu, np.float32(DIPLOE_HU) + strands * np.float32(160.0), marrow)


def _fold_coordinates(plane: Plane, shell: _Shell, head: Head) -> tuple[Image, Image]:
    """Lay the surface of the brain flat (Lambert's equal-area map about the vertex), with some wander in depth."""
    nz = np.clip(shell.up / np.maximum(shell.radius, np.float32(1.0)), -0.5, 1.0)
    stretch = np.sqrt(np.float32(2.0) / (np.float32(1.0) + nz)) * np.float32(66.0)
    stretch /= np.maximum(shell.radius, np.float32(8.0))
    wander = look_up_smooth(head.clouds, plane.x * np.float32(1.7) + plane.z, plane.y * np.float32(1.7) - plane.z)
    u = plane.x * stretch + wander * np.float32(2.2)
    # Below the equator neighbouring slices would repeat the same rays: let the pattern drift with height.
    v = plane.y * stretch - wander * np.float32(2.2)
    low = np.minimum(plane.z - np.float32(10), np.float32(0))
    return u + low * np.float32(0.55), v - low * np.float32(0.45)


def _fissures(plane: Plane, depth: Image) -> tuple[Image, Image]:
    """Distance to the interhemispheric and to the Sylvian fissure, in millimetres; large where there is none."""
    core = np.float32(1.0) - np.square((plane.y + np.float32(2)) / np.float32(50.0))
    core -= np.square((plane.z + np.float32(4)) / np.float32(27.0))
    side = np.abs(plane.x)
    middle = side + np.maximum(core, 0) * np.float32(25.0)
    height = np.abs(plane.z - np.float32(0.4) * plane.y - np.float32(2.0))
    along = np.maximum(np.abs(plane.y + np.float32(4)) - np.float32(24), 0)
    lateral = height * np.float32(0.9) + along + np.maximum(np.float32(40) - side, 0)
    insula = np.abs(side - np.float32(38.5) - np.float32(0.006) * np.square(plane.y + np.float32(2)))
    insula += np.maximum(np.abs(plane.y + np.float32(4)) - np.float32(19), 0)
    insula += np.maximum(np.abs(plane.z - np.float32(1)) - np.float32(13), 0)
    return middle, np.minimum(lateral, insula)


def render(head: Head, base: SkullBase, plane: Plane, lesion: Lesion | None) -> Rendering:
    """Render one infinitely thin plane of a head, with its lesion."""
    hu = np.full(plane.x.shape, -1000.0, dtype=np.float32)
    shell = _shell(head, plane)
    _paint_shell(head, plane, shell, hu)
    above_floor = base.height_above(plane)
    depth = np.minimum(shell.below_skull, above_floor)
    paint_face(head, base, plane, shell.below_skin, shell.below_skull, above_floor, hu)

    inner = lesion.displace(plane) if lesion is not None else plane
    collection = lesion.collection_mm(plane, depth) if lesion is not None else None
    inside = ramp(depth, 1.2)
    blend(hu, head.csf_hu + 2.0, inside)
    rim = np.float32(0.4 + 2.6 * head.atrophy**1.5)
    brain_depth = depth - rim if collection is None else depth - np.maximum(rim, collection + np.float32(0.3))

    # Folded cortex: one field of distances to the nearest CSF, from the surface, the sulci and the fissures.
    u, v = _fold_coordinates(inner, shell, head)
    sulcus = np.abs(look_up(head.folds, u, v)) * np.clip(shell.radius * np.float32(1 / 66.0), 0.35, 1.1)
    reach = np.float32(14.0) + np.float32(5.0) * look_up_smooth(head.clouds, v, u)
    sulcus += np.maximum(brain_depth - reach, 0)
    middle, lateral = _fissures(inner, depth)
    half = np.float32(0.4 + 1.2 * head.atrophy) + np.float32(0.35) * look_up_smooth(head.clouds, u, v * np.float32(0.7))
    swelling = lesion.swelling(inner) if lesion is not None else None
    if swelling is not None:
        half = half - swelling * np.float32(0.9)
    sulcus -= half
    texture_of_gap = look_up_smooth(head.clouds, v, u + plane.z)
    np.minimum(sulcus, middle - np.float32(1.3 + 0.9 * head.atrophy), out=sulcus)
    gap = np.float32(0.6 + 1.1 * head.atrophy) + np.float32(0.5) * texture_of_gap
    np.minimum(sulcus, lateral - (gap if swelling is None else gap * (1 - np.float32(0.6) * swelling)), out=sulcus)
    to_csf = np.minimum(brain_depth, sulcus)

    brain = ramp(to_csf, 1.0)
    brain *= inside
    wander = look_up(head.cells, inner.x * np.float32(0.6) + inner.z, inner.y * np.float32(0.6))
    grey = ramp(np.float32(CORTEX_MM) + wander * np.float32(0.5) - to_csf, 2.2)
    texture = look_up_smooth(head.clouds, inner.x + inner.z, inner.y - inner.z)
    tissue = np.float32(head.white_hu) + texture * np.float32(0.5)
    tissue += (np.float32(head.grey_hu) - tissue) * grey
    blend(hu, tissue, brain)

    # The falx: a thin sheet of dura in the fissure, not below its free edge.
    falx = ramp(np.float32(0.6) - np.abs(inner.x), 1.0) * ramp(middle * -1 + np.float32(4.0), 2.0)
    falx *= ramp(np.float32(44.0) - depth, 6.0) * inside * ramp(inner.z + np.float32(24), 6.0)
    blend(hu, head.falx_hu, falx * np.float32(0.8))
    sinus = ramp(np.float32(6.0) - depth - np.abs(inner.x) * np.float32(1.1), 1.5) * ramp(inner.y - np.float32(5), 20.0)
    blend(hu, 52.0, sinus * inside)

    cistern = inside - brain
    np.clip(cistern, 0, 1, out=cistern)
    found = Compartments(hu, depth, brain, grey, cistern, np.zeros_like(hu), np.zeros_like(hu))
    paint_deep_structures(head, inner, found)
    if lesion is None:
        return Rendering(hu, None, None, found)
    before = hu.copy()
    part = lesion.paint(plane, found, collection)
    return Rendering(hu, part, None if part is None else hu - before, found)
