"""One imaging plane seen from inside the head: coordinates, and what the anatomy found at each point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.simulator.texture import Image

__all__ = ["Compartments", "Plane"]


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Head coordinates of the points of one plane, each an array ``(H, W)`` float32 in canonical millimetres.

    The head frame follows DICOM's patient directions: ``x`` to the patient's left, ``y`` to the back, ``z`` up, with
    the origin in the middle of the brain (PS3.3 C.7.6.2.1.1).
    """

    x: Image
    y: Image
    z: Image
    z_mean: float

    @classmethod
    def of(cls, x: Image, y: Image, z: Image) -> Plane:
        """Bundle coordinate arrays."""
        return cls(x, y, z, float(z.mean()))

    def misses(self, z_centre: float, z_half: float) -> bool:
        """Tell whether no point of the plane can lie within ``z_half`` of ``z_centre``; a cheap first test."""
        return bool(abs(self.z_mean - z_centre) > z_half + 0.5 * float(np.ptp(self.z[:: self.z.shape[0] - 1, :])) + 4.0)

    def ellipsoid(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Image:
        """Approximate signed distance in millimetres to an ellipsoid, positive inside."""
        qx: Image = (self.x - np.float32(centre[0])) * np.float32(1 / radii[0])
        qy = (self.y - np.float32(centre[1])) * np.float32(1 / radii[1])
        qz = (self.z - np.float32(centre[2])) * np.float32(1 / radii[2])
        qx *= qx
        qy *= qy
        qz *= qz
        qx += qy
        qx += qz
        np.sqrt(qx, out=qx)
        np.subtract(np.float32(1.0), qx, out=qx)
        qx *= np.float32(min(radii))
        return qx

    def capsule(
        self, a: tuple[float, float, float], b: tuple[float, float, float], radius_a: float, radius_b: float
    ) -> Image:
        """Signed distance in millimetres to a tapered capsule from ``a`` to ``b``, positive inside."""
        dx, dy, dz = (b[i] - a[i] for i in range(3))
        px, py, pz = (self.x - np.float32(a[0]), self.y - np.float32(a[1]), self.z - np.float32(a[2]))
        t = (px * np.float32(dx) + py * np.float32(dy) + pz * np.float32(dz)) * np.float32(
            1.0 / (dx * dx + dy * dy + dz * dz)
        )
        np.clip(t, 0.0, 1.0, out=t)
        px -= t * np.float32(dx)
        py -= t * np.float32(dy)
        pz -= t * np.float32(dz)
        inside: Image = np.float32(radius_a) + t * np.float32(radius_b - radius_a)
        inside -= np.sqrt(px * px + py * py + pz * pz)
        return inside


@dataclass(frozen=True, slots=True, eq=False)
class Compartments:
    """Where the anatomy put what in one plane; all arrays ``(H, W)`` float32.

    Attributes
    ----------
    hu
        Hounsfield units, changed in place by a lesion.
    depth_mm
        Distance below the inner table of the skull, negative outside the cavity.
    brain
        Fraction of brain tissue (grey or white, no CSF, no bone).
    grey
        Fraction of grey matter.
    cistern
        Fraction of CSF outside the ventricles: sulci, fissures and cisterns.
    ventricle
        Fraction of ventricular CSF.
    cerebellum
        Fraction of the posterior fossa's brain.
    """

    hu: Image
    depth_mm: Image
    brain: Image
    grey: Image
    cistern: Image
    ventricle: Image
    cerebellum: Image
