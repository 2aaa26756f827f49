"""Lesions with a known place, volume and density: five kinds of haemorrhage, and territorial ischaemia.

A lesion acts on the head three times: it may push the brain aside, it may widen or close the sulci, and at last it is
painted. Its shape lives in the head's own coordinates, so that every slice cuts the same body.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from edge_app.simulator.plane import Compartments, Plane
from edge_app.simulator.texture import Image, band_texture, blend, look_up, ramp

__all__ = ["HAEMORRHAGES", "TERRITORIES", "Lesion", "LesionKind", "draw_lesion"]


class LesionKind(str, Enum):
    """What was put into the head."""

    EPIDURAL = "epidural"
    SUBDURAL = "subdural"
    INTRAPARENCHYMAL = "intraparenchymal"
    INTRAVENTRICULAR = "intraventricular"
    SUBARACHNOID = "subarachnoid"
    ISCHAEMIA = "ischaemia"


HAEMORRHAGES = (
    LesionKind.EPIDURAL,
    LesionKind.SUBDURAL,
    LesionKind.INTRAPARENCHYMAL,
    LesionKind.INTRAVENTRICULAR,
    LesionKind.SUBARACHNOID,
)
TERRITORIES = ("mca", "mca_branch", "aca", "pca", "cerebellar")

_TERRITORY_BODIES = {
    "mca": ((48.0, -2.0, 6.0), (31.0, 39.0, 34.0)),
    "mca_branch": ((50.0, -2.0, 8.0), (32.0, 46.0, 42.0)),
    "aca": ((6.0, -36.0, 28.0), (16.0, 44.0, 42.0)),
    "pca": ((18.0, 58.0, 0.0), (24.0, 34.0, 26.0)),
    "cerebellar": ((24.0, 50.0, -54.0), (26.0, 28.0, 20.0)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """One lesion in canonical head coordinates.

    Attributes
    ----------
    kind, place
        What, and where: a territory for ischaemia, a site for haemorrhage.
    side
        +1 the patient's left, -1 the right.
    centre_mm, radii_mm
        The body's centre and half axes. For collections the first half axis is the reach along the skull.
    thickness_mm
        Greatest thickness of an epidural or subdural collection.
    hu
        Density of the blood.
    grey_drop_hu, white_drop_hu
        Loss of density in ischaemic grey and white matter, positive numbers.
    shift_mm
        Displacement of the midline.
    angle
        ``(centre, half width)`` in radians of a branch territory's sector.
    swelling
        0..1, effacement of sulci; negative widens them (they are full of blood).
    """

    kind: LesionKind
    place: str
    side: int
    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    wobble: Image
    thickness_mm: float = 0.0
    hu: float = 0.0
    grey_drop_hu: float = 0.0
    white_drop_hu: float = 0.0
    shift_mm: float = 0.0
    rim_mm: float = 0.0
    angle: tuple[float, float] = (0.0, 0.0)
    swelling_strength: float = 0.0

    @property
    def mask_threshold(self) -> float:
        """Fraction of a voxel that must be lesion for the mask; lower for films of blood thinner than a slice."""
        return 0.35 if self.kind is LesionKind.SUBARACHNOID else 0.5

    def _waves(self, plane: Plane, mm: float) -> Image:
        waves: Image = look_up(self.wobble, plane.x + plane.z, plane.y - plane.z) * np.float32(mm)
        return waves

    def displace(self, plane: Plane) -> Plane:
        """Push the middle of the brain away from the lesion (mass effect)."""
        if self.shift_mm < 0.5:
            return plane
        _, cy, cz = self.centre_mm
        where = np.square((plane.y - np.float32(cy * 0.4)) / 55) + np.square((plane.z - np.float32(cz * 0.4)) / 45)
        push = np.exp(-where) * np.maximum(1 - np.square(plane.x / 62), 0)
        return Plane(plane.x + push * np.float32(self.side * self.shift_mm), plane.y, plane.z, plane.z_mean)

    def collection_mm(self, plane: Plane, depth_mm: Image) -> Image | None:
        """Thickness of the collection under the skull at each point; None for lesions that are not collections."""
        if self.kind not in (LesionKind.EPIDURAL, LesionKind.SUBDURAL):
            return None
        cx, cy, cz = self.centre_mm
        away = np.square(plane.x - np.float32(cx)) + np.square(plane.y - np.float32(cy))
        away += np.square(plane.z - np.float32(cz))
        lens = 1 - away / np.float32(self.radii_mm[0] ** 2)
        if self.kind is LesionKind.SUBDURAL:
            # A crescent keeps its thickness over most of its length, and ends at the falx and on the floor.
            lens = np.sqrt(np.maximum(lens, 0)) * ramp(plane.x * self.side - np.float32(4), 6.0)
            lens *= np.float32(1) + self._waves(plane, 0.12)
        thickness: Image = np.maximum(lens, 0) * np.float32(self.thickness_mm)
        return thickness

    def swelling(self, plane: Plane) -> Image | None:
        """Effacement of the sulci, 0..1; negative where blood widens them."""
        if self.swelling_strength == 0.0 or plane.misses(self.centre_mm[2], self.radii_mm[2] + 8):
            return None
        effaced: Image = ramp(self._body(plane), 10.0) * np.float32(self.swelling_strength)
        return effaced

    def _body(self, plane: Plane) -> Image:
        """Signed distance to the lesion's own body, with uneven borders."""
        body = plane.ellipsoid(self.centre_mm, self.radii_mm)
        if self.kind is LesionKind.ISCHAEMIA:
            body += self._waves(plane, 3.0)
            inner = 15.0 if self.place == "mca" else 25.0 if self.place == "mca_branch" else 0.5
            if self.place != "cerebellar":
                body = np.minimum(body, plane.x * self.side - np.float32(inner))
            if self.place == "mca_branch":
                centre, half = self.angle
                dy, dz = plane.y + np.float32(2), plane.z - np.float32(8)
                turn = np.arctan2(dz, dy) - np.float32(centre)
                turn = np.abs(np.mod(turn + np.float32(np.pi), np.float32(2 * np.pi)) - np.float32(np.pi))
                body = np.minimum(body, (np.float32(half) - turn) * np.hypot(dy, dz) + self._waves(plane, 2.0))
        else:
            body += self._waves(plane, 0.13 * min(self.radii_mm))
        return body

    def paint(self, plane: Plane, found: Compartments, collection_mm: Image | None) -> Image | None:
        """Change the HU of one plane in place.

        Returns
        -------
        Image or None
            Fraction of lesion at each point; None where the plane does not meet the lesion.
        """
        if collection_mm is not None:
            part = (
                ramp(collection_mm - found.depth_mm)
                * ramp(found.depth_mm - np.float32(0.7))
                * ramp(collection_mm - np.float32(0.8))
            )
        elif plane.misses(self.centre_mm[2], self.radii_mm[2] + self.rim_mm + 6):
            return None
        else:
            part = self._part(plane, found)
        if self.kind is LesionKind.ISCHAEMIA:
            drop = np.float32(self.white_drop_hu) + np.float32(self.grey_drop_hu - self.white_drop_hu) * found.grey
            found.hu[...] -= drop * part
        else:
            blend(found.hu, np.float32(self.hu) + self._waves(plane, 2.0), part)
        return part

    def _part(self, plane: Plane, found: Compartments) -> Image:
        body = self._body(plane)
        if self.kind is LesionKind.ISCHAEMIA:
            below = found.cerebellum if self.place == "cerebellar" else 1 - found.cerebellum
            return ramp(body, 5.0) * found.brain * below
        if self.kind is LesionKind.INTRAVENTRICULAR:
            return ramp(body, 2.0) * found.ventricle
        if self.kind is LesionKind.SUBARACHNOID:
            return ramp(body, 12.0) * found.cistern * ramp(found.depth_mm - np.float32(0.3), 1.0)
        free = (1 - found.ventricle) * ramp(found.depth_mm - np.float32(2), 2.0)
        rim = ramp(body + np.float32(0.5 * self.rim_mm), self.rim_mm + 1.0) * found.brain
        found.hu[...] -= rim * np.float32(9.0)
        return ramp(body, 1.6) * free


def _on_skull(rng: np.random.Generator, side: int) -> tuple[float, float, float]:
    """Draw a point on the lateral inner table of the skull."""
    y, z = rng.uniform(-42, 48), rng.uniform(-12, 38)
    x = 65.0 * np.sqrt(max(0.1, 1 - (y / 84.0) ** 2 - (z / 68.0) ** 2))
    return (side * float(x), y, z)


def _collection(rng: np.random.Generator, kind: LesionKind, side: int, wobble: Image) -> Lesion:
    if kind is LesionKind.EPIDURAL:
        reach, thickness = rng.uniform(20, 38), rng.uniform(8, 22)
    else:
        reach, thickness = rng.uniform(36, 66), rng.uniform(3.5, 9)
    shift = min(9.0, 0.0035 * reach * reach * thickness / 10)
    centre = _on_skull(rng, side)
    return Lesion(
        kind, "convexity", side, centre, (reach,) * 3, wobble, thickness, hu=rng.uniform(60, 78), shift_mm=shift
    )


def _parenchymal(rng: np.random.Generator, side: int, wobble: Image) -> Lesion:
    place = str(rng.choice(["putamen", "thalamus", "lobar", "cerebellum", "pons"], p=[0.4, 0.18, 0.3, 0.09, 0.03]))
    largest = {"putamen": 50.0, "thalamus": 18.0, "lobar": 55.0, "cerebellum": 22.0, "pons": 5.0}[place]
    volume_ml = float(np.clip(rng.lognormal(np.log(0.3 * largest), 0.7), 2.0, largest))
    centre = {
        "putamen": (27.0, -3.0, 0.0),
        "thalamus": (13.0, 10.0, 3.0),
        "lobar": (38.0, rng.uniform(-42, 48), rng.uniform(5, 38)),
        "cerebellum": (22.0, 46.0, -53.0),
        "pons": (2.0, 11.0, -46.0),
    }[place]
    stretch = np.exp(rng.normal(0, 0.18, 3))
    stretch *= np.array([0.85, 1.15, 1.0]) if place == "putamen" else 1.0
    radius = (3000 * volume_ml / (4 * np.pi)) ** (1 / 3) / np.prod(stretch) ** (1 / 3)
    radii = tuple(float(v) for v in radius * stretch)
    jitter = rng.normal(0, 2.0, 3)
    return Lesion(
        LesionKind.INTRAPARENCHYMAL,
        place,
        side,
        (side * centre[0] + jitter[0], centre[1] + jitter[1], centre[2] + jitter[2]),
        (radii[0], radii[1], radii[2]),
        wobble,
        hu=rng.uniform(58, 78),
        shift_mm=0.0 if place in ("cerebellum", "pons") else min(7.0, volume_ml / 8),
        rim_mm=rng.uniform(2.0, 7.0),
    )


def _fluid_space(rng: np.random.Generator, kind: LesionKind, side: int, wobble: Image) -> Lesion:
    """Blood in the ventricles (a layer at the back, or a cast of one side) or between the arachnoid and the brain."""
    hu = rng.uniform(60, 76)
    if kind is LesionKind.INTRAVENTRICULAR:
        if rng.random() < 0.5:
            top = rng.uniform(14, 34)
            return Lesion(kind, "layer", side, (0.0, top + 60, 2.0), (70.0, 60.0, 70.0), wobble, hu=hu)
        return Lesion(kind, "cast", side, (side * 24.0, 4.0, 8.0), (23.5, 62.0, 42.0), wobble, hu=hu)
    if rng.random() < 0.6:
        radii = (rng.uniform(26, 50), rng.uniform(22, 38), rng.uniform(13, 24))
        centre = (side * rng.uniform(0, 14), -10.0, -28.0)
        return Lesion(kind, "basal", side, centre, radii, wobble, hu=hu, swelling_strength=-0.7)
    reach = rng.uniform(22, 38)
    centre = _on_skull(rng, side)
    return Lesion(kind, "convexity", side, centre, (reach,) * 3, wobble, hu=hu, swelling_strength=-0.9)


def _ischaemia(rng: np.random.Generator, side: int, wobble: Image) -> Lesion:
    place = str(rng.choice(TERRITORIES, p=[0.3, 0.38, 0.08, 0.14, 0.10]))
    (cx, cy, cz), radii = _TERRITORY_BODIES[place]
    size = rng.uniform(0.8, 1.04)
    severity = rng.uniform(0.25, 1.0)
    return Lesion(
        LesionKind.ISCHAEMIA,
        place,
        side,
        (side * cx, cy + rng.normal(0, 2), cz + rng.normal(0, 2)),
        (radii[0] * size, radii[1] * size, radii[2] * size),
        wobble,
        # Oedema takes most from the cortex, so that grey and white come to look alike.
        grey_drop_hu=5.0 + 7.5 * severity,
        white_drop_hu=2.2 + 5.0 * severity,
        angle=(rng.uniform(-np.pi, np.pi), rng.uniform(0.45, 0.9)),
        swelling_strength=0.3 + 0.6 * severity,
    )


def draw_lesion(rng: np.random.Generator, kind: LesionKind) -> Lesion:
    """Draw a lesion of one kind: its place, size and density."""
    side = int(rng.choice([-1, 1]))
    wobble = band_texture(rng, 20.0, octaves=0.5)
    if kind in (LesionKind.EPIDURAL, LesionKind.SUBDURAL):
        return _collection(rng, kind, side, wobble)
    if kind is LesionKind.INTRAPARENCHYMAL:
        return _parenchymal(rng, side, wobble)
    if kind is LesionKind.ISCHAEMIA:
        return _ischaemia(rng, side, wobble)
    return _fluid_space(rng, kind, side, wobble)
