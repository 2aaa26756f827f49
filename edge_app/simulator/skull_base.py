"""The floor of the skull and what lies under it: orbits, sinuses, mastoids, muscle."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_app.simulator.head import Head
from edge_app.simulator.plane import Plane
from edge_app.simulator.texture import Image, blend, look_up, look_up_smooth, ramp

__all__ = ["SkullBase", "draw_skull_base", "paint_face"]

AIR_HU, ORBITAL_FAT_HU, VITREOUS_HU, MUSCLE_HU = -990.0, -95.0, 9.0, 52.0
_Y_MIN = -120.0


@dataclass(frozen=True, slots=True, eq=False)
class SkullBase:
    """Height of the cranial floor (mm) over ``(|x|, y)``, one millimetre a cell, first row at ``y = -120``.

    ``thickness`` is that of the bone below it.
    """

    floor: Image
    thickness: Image

    def _read(self, table: Image, plane: Plane) -> Image:
        found: Image = cv2.remap(
            table, np.abs(plane.x), plane.y - np.float32(_Y_MIN), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return found

    def height_above(self, plane: Plane) -> Image:
        """Height of each point above the floor in millimetres, negative below."""
        if plane.misses(-70, 48):
            return np.full(plane.x.shape, 200.0, dtype=np.float32)
        above: Image = np.float32(0.9) * (plane.z - self._read(self.floor, plane))
        return above

    def bone_mm(self, plane: Plane) -> Image:
        """Thickness of the bone under the floor."""
        return self._read(self.thickness, plane)


def _ridge(a: Image, y: Image, start: tuple[float, float], end: tuple[float, float], width: float) -> Image:
    """Height profile 0..1 of a ridge between two points."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = np.clip(((a - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    off = np.hypot(a - start[0] - t * dx, y - start[1] - t * dy)
    return np.exp(-0.5 * (off / width) ** 2).astype(np.float32)


def draw_skull_base(rng: np.random.Generator) -> SkullBase:
    """Draw the three fossae with their ridges; they differ a little from head to head."""
    y, a = np.meshgrid(
        np.arange(_Y_MIN, 120, dtype=np.float32), np.arange(0, 110, dtype=np.float32), indexing="ij", copy=True
    )
    lift = rng.normal(0, 1.5, 4)
    front = -34.0 + lift[0] + 3.0 * np.exp(-0.5 * (((a - 30) / 14) ** 2 + ((y + 55) / 20) ** 2)) - 5.0 * (a < 10)
    middle = -62.0 + lift[1] + np.clip((a - 38) / 24, 0, 1.5) ** 2 * 12 + np.clip((18 - a) / 8, 0, 1) * 14
    back = -84.0 + lift[2] + np.clip(np.hypot(a, y - 45) - 32, 0, 40) * 0.8
    clivus = np.clip((12 - a) / 4, 0, 1) * np.clip((24 - y) / 4, 0, 1) * np.clip((y + 8) / 4, 0, 1)
    back = back * (1 - clivus) + clivus * (-43.0 - 2.1 * (y + 8))
    anterior = 0.5 - 0.5 * np.tanh((y + 26 + 0.28 * (a - 12)) / 3.2)
    posterior = 0.5 - 0.5 * np.tanh((10 + 0.36 * (a - 14) - 12 * np.exp(-((a / 13) ** 2)) - y) / 4.4)
    floor = front * anterior + (1 - anterior) * (back * posterior + middle * (1 - posterior))
    petrous = _ridge(a, y, (14.0, 3.0), (64.0, 27.0), 6.0)
    sphenoid = _ridge(a, y, (13.0, -22.0), (62.0, -38.0), 2.6)
    dorsum = _ridge(a, y, (0.0, -7.0), (7.0, -7.0), 2.0)
    floor = np.maximum(floor, floor + (-41.0 + lift[3] - floor) * petrous)
    floor = np.maximum(floor, floor + (-33.0 + lift[0] - floor) * sphenoid)
    floor = np.maximum(floor, floor + (-38.0 - floor) * dorsum)
    thickness = 3.0 + 16.0 * petrous + 7.0 * sphenoid + 22.0 * clivus + 2.0 * (a > 50)
    return SkullBase(
        cv2.GaussianBlur(floor.astype(np.float32), (0, 0), 1.2),
        cv2.GaussianBlur(thickness.astype(np.float32), (0, 0), 1.5),
    )


def _paint_orbit(side: Plane, hu: Image, allowed: Image) -> None:
    """Bony cone, fat, globe with its lens, optic nerve and two muscles."""
    cone = side.capsule((31, -64, -51), (12, -34, -45), 18.5, 4.0)
    np.minimum(cone, (side.y + np.float32(84)), out=cone)
    blend(hu, 900.0, ramp(cone + np.float32(1.6)) * allowed)
    blend(hu, ORBITAL_FAT_HU, ramp(cone) * allowed)
    for start, end, radius in (
        ((31.0, -60.0, -51.0), (13.0, -34.0, -45.0), 2.0),
        ((20.0, -67.0, -51.0), (13.0, -36.0, -46.0), 1.9),
        ((43.0, -67.0, -51.0), (15.0, -35.0, -46.0), 1.9),
    ):
        blend(hu, MUSCLE_HU - 8, ramp(side.capsule(start, end, radius, radius)) * allowed)
    globe = side.ellipsoid((31, -67, -51), (12, 12, 12))
    blend(hu, 42.0, ramp(globe))
    blend(hu, VITREOUS_HU, ramp(globe - np.float32(1.4)))
    blend(hu, 75.0, ramp(side.ellipsoid((31, -76, -51), (4.5, 2.0, 4.5))))


def paint_face(
    head: Head, base: SkullBase, plane: Plane, below_skin: Image, below_skull: Image, above_floor: Image, hu: Image
) -> None:
    """Paint what lies below the cranial floor and inside the skull's outline, and the frontal sinus.

    Parameters
    ----------
    below_skin
        Depth below the skin in millimetres.
    below_skull
        Depth below the inner table of the vault in millimetres.
    above_floor
        Height above the cranial floor in millimetres.
    hu
        Changed in place.
    """
    side = Plane(np.abs(plane.x), plane.y, plane.z, plane.z_mean)
    if head.frontal_sinus > 0.25 and not plane.misses(-30, 16):
        sinus = side.ellipsoid(
            (7, -0.885 * head.half_length_mm, -34), (5 + 14 * head.frontal_sinus, 6.0, 4 + 13 * head.frontal_sinus)
        )
        sinus -= np.maximum(np.float32(0.8) - np.abs(plane.x + np.float32(1.5)), 0) * 4
        sinus += look_up(head.cells, plane.x * np.float32(0.5), plane.z) * np.float32(0.6)
        np.minimum(sinus, np.float32(2) - below_skull, out=sinus)
        np.minimum(sinus, below_skin - np.float32(head.scalp_mm + 1.5), out=sinus)
        blend(hu, 1100.0, ramp(sinus + np.float32(1.5)))
        blend(hu, AIR_HU, ramp(sinus))
    if plane.misses(-70, 48):
        return
    inside = ramp(below_skull + np.float32(0.5), 1.2)
    under = ramp(-above_floor) * inside
    cells = look_up(head.cells, plane.x + plane.z, plane.y + plane.z * np.float32(0.7))
    clouds = look_up_smooth(head.clouds, plane.x * 2 + plane.z, plane.y * 2)
    # Soft parts under the base: muscle with planes of fat.
    soft = np.float32(MUSCLE_HU) - np.float32(120.0) * ramp(clouds - np.float32(1.2), 1.2)
    blend(hu, soft, under)
    bone_mm = base.bone_mm(plane)
    bone = ramp(above_floor + bone_mm) * under
    blend(hu, np.float32(1000.0) + cells * np.float32(170.0), bone)
    blend(hu, 1500.0, ramp(above_floor + np.float32(1.6)) * under)

    if not plane.misses(-58, 22):
        drum = side.ellipsoid((55, 31, -58), (11, 15, 18))
        air = ramp(drum, 3.0) * ramp(cells + np.float32(2.2 * head.mastoid_air - 1.2), 0.5) * under
        blend(hu, 800.0, ramp(drum + np.float32(3), 3.0) * under)
        blend(hu, AIR_HU + 60, air)
        canal = side.capsule((46, 14, -58), (80, 13, -59), 3.0, 3.4)
        blend(hu, AIR_HU, ramp(canal) * ramp(np.float32(58) - plane.z * 0 - np.abs(plane.z)))
    _paint_nose(head, side, plane, cells, hu, under)
    if not plane.misses(-51, 20):
        _paint_orbit(side, hu, ramp(below_skin - np.float32(2.5)) * ramp(-above_floor))


def _paint_nose(head: Head, side: Plane, plane: Plane, cells: Image, hu: Image, under: Image) -> None:
    """Ethmoid cells, sphenoid sinus, nasal cavity and the top of the maxillary sinuses."""
    if not plane.misses(-56, 16):
        box = np.minimum(np.float32(12.5) - side.x, np.float32(21.0) - np.abs(plane.y + np.float32(57)))
        np.minimum(box, np.float32(-40.0) - plane.z, out=box)
        labyrinth = ramp(box) * under
        blend(hu, 600.0, ramp(box + np.float32(1.2)) * under)
        blend(hu, AIR_HU, labyrinth * ramp(np.abs(cells) - np.float32(0.22), 0.3))
    if not plane.misses(-57, 11):
        sinus = side.ellipsoid((7, -18, -57), (11, 14, 10)) - np.maximum(np.float32(0.7) - side.x, 0) * 6
        blend(hu, 700.0, ramp(sinus + np.float32(1.6)) * under)
        blend(hu, AIR_HU, ramp(sinus) * under)
    if not plane.misses(-84, 20):
        antrum = side.ellipsoid((30, -58, -85), (16, 17, 16)) + cells * np.float32(0.4)
        blend(hu, 800.0, ramp(antrum + np.float32(1.4)) * under)
        blend(hu, AIR_HU, ramp(antrum) * under)
        cavity = np.minimum(np.float32(12.0) - side.x, np.float32(26.0) - np.abs(plane.y + np.float32(58)))
        np.minimum(cavity, np.float32(-68.0) - plane.z, out=cavity)
        turbinate = ramp(np.abs(cells) - np.float32(0.35), 0.4)
        blend(hu, AIR_HU, ramp(cavity) * turbinate * under)
