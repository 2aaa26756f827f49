"""The parameters of each preprocessing, and the hash by which a model says which one it was trained with.

A bundle names its profile and carries the hash; a bundle whose hash does not match is refused, so that no model ever
sees images prepared in another way than those it was trained on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from edge_app.core.errors import ConfigError

__all__ = [
    "DEFAULT_PROFILE",
    "IMPLEMENTATION_VERSION",
    "INPUT_SIZE",
    "PROFILES",
    "PhysicalProfile",
    "Profile",
    "PublishedProfile",
    "Window",
    "get_profile",
    "profile_hash",
]

IMPLEMENTATION_VERSION = 1
"""Raise it with every change of code that changes a prepared pixel: old models then no longer load."""

INPUT_SIZE = 224
"""Rows and columns of every model input."""


@dataclass(frozen=True, slots=True)
class Window:
    """A CT window: `centre_hu` ± half of `width_hu` becomes [0, 1]."""

    centre_hu: float
    width_hu: float

    @property
    def lower_hu(self) -> float:
        """What becomes 0."""
        return self.centre_hu - self.width_hu / 2


@dataclass(frozen=True, slots=True)
class PhysicalProfile:
    """Our own: every scanner's slice at one physical scale, the head upright and centred, air around it."""

    name: str
    windows: tuple[Window, Window, Window]
    pixel_mm: float = 1.0
    """Size of a model-input pixel: 224 mm hold any head."""
    body_hu: float = -250.0
    """Above this is head (skin fat is −100); foam of the head rest lies below."""
    opening_mm: float = 7.0
    """Thinner things than this (table, head-rest shell, tubes) are cut off the head."""
    margin_mm: float = 2.0
    """How much of the air around the head is kept, so that its edge is not cut."""
    min_head_mm2: float = 1500.0
    """A smaller head mask counts as abnormal: the slice is only resampled, unmasked, about its middle."""
    max_turn_deg: float = 30.0
    min_axis_ratio: float = 1.1
    """Below this the head's outline is too round to tell which way is up; it is not turned."""


@dataclass(frozen=True, slots=True)
class PublishedProfile:
    """The published steps, in pixels, whatever the pixel spacing."""

    name: str
    windows: tuple[Window, Window, Window]
    mask_window: Window = Window(40, 80)
    dilation: int = 12
    """Side of the square footprint of the first grey dilation."""
    abnormal_below: float = 0.10
    abnormal_above: float = 0.90
    """Share of the image the head mask may cover; outside, the slice is only centred."""
    faithful_bugs: bool = True
    """Keep the published angle rule: an ellipse angle up to 90° is turned 6° too far (96 where 90 was meant)."""


Profile = PhysicalProfile | PublishedProfile

_PUBLISHED_WINDOWS = (Window(40, 80), Window(80, 200), Window(600, 2800))  # brain, subdural, bone
_OUR_WINDOWS = (Window(32, 40), Window(60, 140), Window(600, 2800))  # stroke, brain and blood, bone

DEFAULT_PROFILE = "msu1"
"""What training uses unless told otherwise."""

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        PhysicalProfile("msu1", _OUR_WINDOWS),
        PublishedProfile("seed2023", _PUBLISHED_WINDOWS),
        PublishedProfile("seed2023-fixed", _PUBLISHED_WINDOWS, faithful_bugs=False),
    )
}
"""Every profile by name."""


def get_profile(name: str) -> Profile:
    """Return the profile of a name.

    Raises
    ------
    ConfigError
        If there is no such profile.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(
            f"there is no preprocessing profile {name!r}", remedy=f"Profiles are {', '.join(sorted(PROFILES))}."
        ) from None


def profile_hash(profile: Profile) -> str:
    """Return the sha256 (hex) over all parameters of a profile, its kind and the implementation's version."""
    described = {
        "implementation": IMPLEMENTATION_VERSION,
        "kind": type(profile).__name__,
        "size": INPUT_SIZE,
        "parameters": asdict(profile),
    }
    canonical = json.dumps(described, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
