"""What makes one head differ from the next: size, shape, age, pose and the random textures of its tissues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.simulator.plane import Plane
from edge_app.simulator.texture import Image, band_texture, fold_distance, look_up_smooth

__all__ = ["Head", "Pose", "draw_head"]


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """How the head lies in the scanner.

    Attributes
    ----------
    rotation
        ``(3, 3)`` matrix from head to scanner directions.
    centre_mm
        Scanner coordinates ``(3,)`` of the head's origin.
    """

    rotation: npt.NDArray[np.float64]
    centre_mm: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """One patient's head; drawn from the seed alone, so that a label can never be read from it.

    Lengths are in canonical millimetres, that is before ``scale`` makes the head larger or smaller.
    """

    age_years: int
    scale: tuple[float, float, float]
    pose: Pose
    half_width_mm: float
    half_length_mm: float
    egg: float
    scalp_mm: float
    skull_mm: float
    atrophy: float
    ventricle_scale: float
    leukoaraiosis: float
    grey_hu: float
    white_hu: float
    csf_hu: float
    frontal_sinus: float
    mastoid_air: float
    pineal_hu: float
    choroid_hu: float
    falx_hu: float
    lacunes: tuple[tuple[float, float, float, float], ...]
    warp: tuple[Image, Image, Image]
    folds: Image
    fine_folds: Image
    clouds: Image
    cells: Image

    def plane(self, world_x: Image, world_y: Image, world_z: Image) -> Plane:
        """Turn scanner coordinates (mm) into this head's own, with its natural unevenness."""
        r, c = self.pose.rotation.astype(np.float32), self.pose.centre_mm.astype(np.float32)
        px, py, pz = world_x - c[0], world_y - c[1], world_z - c[2]
        axes = []
        for i in range(3):
            q = px * (r[0, i] / np.float32(self.scale[i]))
            q += py * (r[1, i] / np.float32(self.scale[i]))
            q += pz * (r[2, i] / np.float32(self.scale[i]))
            axes.append(q)
        x, y, z = axes
        half_z = z * np.float32(0.5)
        wx = look_up_smooth(self.warp[0], x + half_z, y - half_z)
        wy = look_up_smooth(self.warp[1], x - half_z, y + half_z)
        wz = look_up_smooth(self.warp[2], x + half_z, y + half_z)
        return Plane.of(x + wx, y + wy, z + wz)


def _rotation(pitch: float, roll: float, yaw: float) -> npt.NDArray[np.float64]:
    """Rotation about the patient's x, y and z axes, in radians."""
    cx, sx, cy, sy, cz, sz = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll), np.cos(yaw), np.sin(yaw)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: npt.NDArray[np.float64] = about_z @ about_y @ about_x
    return rotation


def _warp(rng: np.random.Generator) -> Image:
    """Draw the millimetres by which a coordinate strays: broad asymmetry plus small waviness, both of zero mean."""
    stray: Image = band_texture(rng, 90.0, octaves=0.4) * np.float32(1.3) + band_texture(rng, 26.0) * np.float32(0.25)
    return stray


def draw_head(rng: np.random.Generator) -> Head:
    """Draw a patient's head: an adult, more often old than young."""
    age = int(np.clip(rng.normal(66, 16), 19, 97))
    older = max(0.0, (age - 50) / 45)
    size = rng.normal(1.0, 0.028)
    pose = Pose(
        _rotation(*(np.deg2rad(np.clip(rng.normal(0, sd, 1)[0], -3 * sd, 3 * sd)) for sd in (3.5, 2.5, 4.0))),
        np.array([rng.normal(0, 4), rng.normal(0, 4), rng.uniform(-40, 40)]),
    )
    contrast = rng.normal(0, 0.5)
    return Head(
        age_years=age,
        scale=(
            size * float(np.clip(rng.normal(1, 0.02), 0.95, 1.05)),
            size * float(np.clip(rng.normal(1, 0.02), 0.95, 1.05)),
            size * float(np.clip(rng.normal(1, 0.02), 0.95, 1.05)),
        ),
        pose=pose,
        half_width_mm=rng.uniform(73, 79),
        half_length_mm=rng.uniform(91, 97),
        egg=rng.uniform(0.03, 0.09),
        scalp_mm=rng.uniform(4.0, 7.5),
        skull_mm=rng.uniform(4.8, 7.8),
        atrophy=float(np.clip(rng.normal(0.25 + 0.45 * older, 0.15), 0.0, 1.0)),
        ventricle_scale=float(np.clip(rng.normal(0.9 + 0.35 * older, 0.17), 0.6, 1.6)),
        leukoaraiosis=float(np.clip(rng.normal(0.5 * older, 0.25), 0.0, 1.0)),
        grey_hu=37.6 + contrast,
        white_hu=28.0 + contrast + rng.normal(0, 0.4),
        csf_hu=rng.uniform(4, 9),
        frontal_sinus=rng.uniform(0.0, 1.0),
        mastoid_air=rng.uniform(0.3, 1.0),
        pineal_hu=float(rng.choice([45.0, 110.0, 250.0], p=[0.45, 0.3, 0.25])),
        choroid_hu=float(rng.choice([40.0, 90.0, 200.0], p=[0.45, 0.3, 0.25])),
        falx_hu=rng.uniform(44, 58),
        lacunes=tuple(
            (
                rng.choice([-1.0, 1.0]) * rng.uniform(14, 30),
                rng.uniform(-20, 20),
                rng.uniform(-8, 18),
                rng.uniform(2.0, 4.5),
            )
            for _ in range(int(rng.poisson(0.7 * older)))
        ),
        warp=(_warp(rng), _warp(rng), _warp(rng)),
        folds=fold_distance(rng, rng.uniform(24, 30)),
        fine_folds=fold_distance(rng, 7.0),
        clouds=band_texture(rng, 34.0, octaves=0.6),
        cells=band_texture(rng, 7.5, octaves=0.3),
    )
