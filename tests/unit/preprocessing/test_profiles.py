"""Profiles are found by name, and their hash changes with every parameter."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from edge_app.core.errors import ConfigError
from edge_app.preprocessing import DEFAULT_PROFILE, PROFILES, PhysicalProfile, Window, get_profile, profile_hash
from edge_app.preprocessing import profiles as profiles_module


def test_profiles_are_found_by_name() -> None:
    assert get_profile(DEFAULT_PROFILE).name == "msu1"
    assert set(PROFILES) == {"msu1", "seed2023", "seed2023-fixed"}


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'imagenet'.*msu1, seed2023"):
        get_profile("imagenet")


def test_hashes_differ_between_profiles_and_are_stable() -> None:
    hashes = {profile_hash(profile) for profile in PROFILES.values()}
    assert len(hashes) == 3
    assert all(len(digest) == 64 for digest in hashes)
    assert profile_hash(get_profile("msu1")) == profile_hash(replace(get_profile("msu1")))


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_parameter_is_in_the_hash(name: str) -> None:
    profile = get_profile(name)
    for field in fields(profile):
        value = getattr(profile, field.name)
        other = (
            (Window(1, 2),) * 3 if field.name == "windows" else Window(1, 2) if field.name == "mask_window" else None
        )
        other = other or (
            not value if isinstance(value, bool) else f"{value}x" if isinstance(value, str) else value + 1
        )
        assert profile_hash(replace(profile, **{field.name: other})) != profile_hash(profile)


def test_the_implementations_version_is_in_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = profile_hash(get_profile("msu1"))
    monkeypatch.setattr(profiles_module, "IMPLEMENTATION_VERSION", 99)
    assert profile_hash(get_profile("msu1")) != before


def test_the_kind_of_profile_is_in_the_hash() -> None:
    class Other(PhysicalProfile):
        pass

    profile = get_profile("msu1")
    assert isinstance(profile, PhysicalProfile)
    assert profile_hash(Other(profile.name, profile.windows)) != profile_hash(profile)
