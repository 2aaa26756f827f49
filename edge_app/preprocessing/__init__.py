"""Volume slice → model input; the one implementation, shared with training and calibration."""

from edge_app.preprocessing.profiles import (
    DEFAULT_PROFILE,
    INPUT_SIZE,
    PROFILES,
    PhysicalProfile,
    Profile,
    PublishedProfile,
    Window,
    get_profile,
    profile_hash,
)
from edge_app.preprocessing.slices import Prepared, prepare

__all__ = [
    "DEFAULT_PROFILE",
    "INPUT_SIZE",
    "PROFILES",
    "PhysicalProfile",
    "Prepared",
    "Profile",
    "PublishedProfile",
    "Window",
    "get_profile",
    "prepare",
    "profile_hash",
]
