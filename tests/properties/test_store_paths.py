"""No text in a UID leads out of the store's folder, and no two UIDs meet in one file."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge_app.store.paths import StorePaths, uid_hash

ROOT = Path("/store")
ANY_TEXT = st.one_of(st.text(), st.sampled_from(["", ".", "..", "../..", "/etc/passwd", "a\0b", "CON", "1.2/../3"]))


@given(study_uid=ANY_TEXT, sop_uid=ANY_TEXT)
def test_every_path_stays_in_its_folder(study_uid: str, sop_uid: str) -> None:
    paths = StorePaths(ROOT)
    for path, folder in (
        (paths.instance(study_uid, sop_uid), "instances"),
        (paths.frame(study_uid, sop_uid), "frames"),
        (paths.saliency(study_uid, 1), "results"),
    ):
        assert path.parent.parent == ROOT / folder
        assert path.name == Path(path.name).name
        assert not set(path.parent.name + path.stem) - set("0123456789abcdefsaliency-")


@given(one=ANY_TEXT, other=ANY_TEXT)
def test_two_uids_never_share_a_file(one: str, other: str) -> None:
    assert (uid_hash(one) == uid_hash(other)) == (one == other)
