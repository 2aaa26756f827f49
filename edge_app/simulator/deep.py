"""The middle of the brain: nuclei, ventricles, cisterns, and the posterior fossa below its tent."""

from __future__ import annotations

import numpy as np

from edge_app.simulator.head import Head
from edge_app.simulator.plane import Compartments, Plane
from edge_app.simulator.texture import Image, blend, look_up, look_up_smooth, ramp

__all__ = ["paint_deep_structures", "ventricle_distance"]

# Lateral ventricle of one side as tapered capsules: from, to, radius at each end, in canonical millimetres.
_HORNS = (
    ((13.0, -36.0, 1.0), (7.0, -20.0, 9.0), 4.4, 5.0),
    ((7.0, -22.0, 9.0), (9.0, 6.0, 17.0), 5.0, 5.2),
    ((9.0, 6.0, 17.0), (23.0, 31.0, 9.0), 5.2, 6.2),
    ((23.0, 31.0, 8.0), (25.0, 54.0, 2.0), 5.0, 2.2),
    ((24.0, 30.0, 4.0), (31.0, 8.0, -20.0), 4.2, 1.6),
    ((31.0, 8.0, -20.0), (28.0, -10.0, -27.0), 1.6, 1.4),
)


def _beside(plane: Plane) -> Plane:
    """Fold both sides of the head onto one; the warp of the coordinates keeps them from being mirror images."""
    return Plane(np.abs(plane.x), plane.y, plane.z, plane.z_mean)


def ventricle_distance(head: Head, plane: Plane) -> Image | None:
    """Signed distance to the lateral, third and fourth ventricles, positive inside; None if the plane misses all."""
    side = _beside(plane)
    best: Image | None = None
    for a, b, ra, rb in _HORNS:
        if plane.misses(0.5 * (a[2] + b[2]), 0.5 * abs(a[2] - b[2]) + 8):
            continue
        horn = side.capsule(a, b, ra * head.ventricle_scale, rb * head.ventricle_scale)
        best = horn if best is None else np.maximum(best, horn, out=best)
    if not plane.misses(-7, 13):
        third = plane.ellipsoid((0, -2, -7), (1.1 + 1.6 * head.ventricle_scale, 15, 12))
        best = third if best is None else np.maximum(best, third, out=best)
    if not plane.misses(-47, 11):
        fourth = plane.ellipsoid((0, 30, -47), (6.5, 4.0 * head.ventricle_scale, 10))
        best = fourth if best is None else np.maximum(best, fourth, out=best)
    return best


def _paint(found: Compartments, hu: float | Image, part: Image, *, grey: float) -> None:
    """Replace brain by brain of another density."""
    part = part * found.brain
    blend(found.hu, hu, part)
    blend(found.grey, grey, part)


def _paint_nuclei(head: Head, plane: Plane, side: Plane, found: Compartments) -> None:
    """Caudate, lentiform nucleus, thalamus, and the white matter between them."""
    if side.misses(4, 36):
        return
    # Corpus callosum, capsules and centrum semiovale: no cortex in here.
    core = ramp(side.ellipsoid((0, -2, 7), (36, 44, 24)), 4.0)
    core *= found.brain
    blend(found.hu, head.white_hu, core)
    blend(found.grey, 0.0, core)
    grey = head.grey_hu
    waves = look_up_smooth(head.clouds, plane.x * 2 + plane.z, plane.y * 2) * np.float32(0.9)
    if not side.misses(4, 14):
        _paint(found, grey, ramp(side.ellipsoid((14, -20, 4), (5.5, 10, 12)) + waves, 4.0), grey=0.8)
    if not side.misses(-1, 13):
        lens = side.ellipsoid((25, -3, -1), (6.5, 17, 11))
        lens -= np.square((side.y + np.float32(3)) * np.float32(0.1)) * np.float32(0.35)
        _paint(found, grey - 1.0, ramp(lens + waves, 4.5), grey=0.8)
        insula = np.abs(side.x - np.float32(36.0) - np.float32(0.006) * np.square(side.y + np.float32(2)))
        insula += np.maximum(np.abs(side.y + np.float32(4)) - np.float32(20), 0)
        insula += np.maximum(np.abs(side.z - np.float32(1)) - np.float32(13), 0)
        _paint(found, grey, ramp(np.float32(2.0) - insula, 2.0), grey=1)
    if not side.misses(2, 12):
        _paint(found, grey - 2.0, ramp(side.ellipsoid((10, 10, 2), (8.5, 14, 10)) + waves, 5.0), grey=0.7)


def _paint_posterior_fossa(head: Head, plane: Plane, side: Plane, found: Compartments) -> None:
    """Tent, cerebellum, brainstem and the cisterns around them."""
    if plane.z_mean > 10:
        return
    tent = np.float32(-11.0) - np.float32(0.46) * side.x - np.float32(0.006) * np.square(plane.y - np.float32(30))
    below = (tent - plane.z) * np.float32(0.85)
    front = plane.y - np.float32(18) - np.float32(0.3) * side.x
    inside = np.minimum(below, front)
    here = ramp(inside, 1.5) * ramp(found.depth_mm, 1.2)

    leaves = np.abs(look_up(head.fine_folds, side.x * np.float32(0.5) + plane.z, plane.y * 2 - plane.z))
    edge = np.minimum(found.depth_mm - np.float32(1.0 + head.atrophy), inside - np.float32(0.8))
    edge = np.minimum(edge, leaves * np.float32(0.7) + edge * np.float32(0.35) + np.float32(0.3 - 0.5 * head.atrophy))
    brain = ramp(edge, 1.6) * here
    white = ramp(side.ellipsoid((19, 42, -52), (13, 13, 10)) - leaves * np.float32(0.5), 3.0)
    tissue = np.float32(head.grey_hu - 2.2) - leaves * np.float32(0.35)
    tissue += (np.float32(head.white_hu + 1.5) - tissue) * white
    mixed = np.float32(head.csf_hu) + (tissue - np.float32(head.csf_hu)) * brain
    blend(found.hu, mixed, here)
    blend(found.brain, brain, here)
    blend(found.grey, np.float32(1) - white, here)
    blend(found.cistern, here - brain, here)
    np.maximum(found.cerebellum, brain, out=found.cerebellum)

    dura = ramp(np.float32(0.8) - np.abs(below), 1.2) * ramp(front, 3.0) * ramp(found.depth_mm, 1.2)
    dura *= ramp(side.x - np.float32(9) - np.maximum(plane.y - np.float32(35), 0), 4.0) + ramp(
        plane.y - np.float32(40), 6.0
    )
    blend(found.hu, 48.0, np.clip(dura, 0, 0.75))

    stem = plane.capsule((0, 10, -16), (0, 22, -90), 13.0, 10.5)
    if not plane.misses(-46, 16):
        np.maximum(stem, plane.ellipsoid((0, 11, -46), (17, 12.5, 14)), out=stem)
    stem += look_up_smooth(head.clouds, plane.x + plane.z, plane.y) * np.float32(1.5)
    top = ramp(np.float32(-14.0) - plane.z, 5.0)
    moat = ramp(stem + np.float32(1.8 + 1.5 * head.atrophy), 1.2) * top
    moat *= ramp(np.float32(14.0) - np.abs(plane.y - np.float32(9)), 4.0)
    if not plane.misses(-34, 10):
        star = np.float32(0.35) * np.square(side.x) * np.float32(0.06)
        np.maximum(moat, ramp(plane.ellipsoid((0, -12, -34), (14, 10, 9)) - star, 1.5), out=moat)
    if not plane.misses(-16, 6):
        np.maximum(moat, ramp(plane.ellipsoid((0, 24, -16), (12, 4.5, 6)), 1.5), out=moat)
    moat *= ramp(found.depth_mm, 1.2)
    blend(found.hu, head.csf_hu, moat)
    blend(found.brain, 0.0, moat)
    blend(found.cistern, 1.0, moat)
    solid = ramp(stem, 1.6) * top * ramp(found.depth_mm, 1.2)
    blend(found.hu, head.white_hu + 3.0, solid)
    blend(found.brain, 1.0, solid)
    blend(found.grey, 0.3, solid)
    blend(found.cistern, 0.0, solid)
    np.maximum(found.cerebellum, solid * ramp(np.float32(-38.0) - plane.z, 8.0), out=found.cerebellum)


def paint_deep_structures(head: Head, plane: Plane, found: Compartments) -> None:
    """Paint everything that is not folded cortex, in place."""
    side = _beside(plane)
    _paint_nuclei(head, plane, side, found)
    _paint_posterior_fossa(head, plane, side, found)
    for x, y, z, radius in head.lacunes:
        if not plane.misses(z, radius):
            blend(found.hu, 12.0, ramp(plane.ellipsoid((x, y, z), (radius, radius, radius)), 1.5) * found.brain)
    ventricle = ventricle_distance(head, plane)
    if ventricle is None:
        return
    halo = ramp(ventricle + np.float32(4.0), 9.0) * found.brain * (np.float32(1) - found.grey)
    found.hu[...] -= halo * np.float32(7.0 * head.leukoaraiosis)
    fluid = ramp(ventricle, 1.3) * ramp(found.depth_mm - np.float32(3), 1.0)
    blend(found.hu, head.csf_hu, fluid)
    found.ventricle[...] = fluid
    np.minimum(found.brain, 1 - fluid, out=found.brain)
    np.minimum(found.cistern, 1 - fluid, out=found.cistern)
    if head.choroid_hu > 50 and not plane.misses(7, 6):
        plexus = side.ellipsoid((22, 31, 7), (2.6, 4.5, 3.5))
        plexus += look_up(head.cells, plane.x * 2, plane.y * 2) * np.float32(0.5)
        blend(found.hu, head.choroid_hu, ramp(plexus))
    if head.pineal_hu > 50 and not plane.misses(-9, 4):
        blend(found.hu, head.pineal_hu, ramp(plane.ellipsoid((0, 20, -9), (2.3, 2.6, 2.5))))
