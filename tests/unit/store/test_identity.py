"""The UIDs are read from any bytes, or refused; pixels are never looked at."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from edge_app.core.errors import HeaderError
from edge_app.store.identity import INFLATE_LIMIT_BYTES, read_identity
from tests.instances import STUDY_UID, encode, make_dataset, make_instance

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_the_identity_is_read_in_every_encoding(syntax: str) -> None:
    instance = make_instance("1.2.3", transfer_syntax_uid=syntax, PatientID="4711 ")
    identity = read_identity(instance.content, syntax)
    assert (identity.sop_uid, identity.study_uid, identity.series_uid) == ("1.2.3", STUDY_UID, f"{STUDY_UID}.1")
    assert (identity.sop_class_uid, identity.patient_id) == (instance.sop_class_uid, "4711")


def test_cut_off_pixels_do_not_hide_the_identity() -> None:
    content = make_instance("1.2.3").content
    assert read_identity(content[: len(content) // 2], ExplicitVRLittleEndian).sop_uid == "1.2.3"


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_missing_uid_is_named(keyword: str) -> None:
    dataset = make_dataset()
    delattr(dataset, keyword)
    with pytest.raises(HeaderError, match=f"{keyword} is missing"):
        read_identity(encode(dataset), ExplicitVRLittleEndian)


def test_a_uid_that_is_none_is_refused() -> None:
    content = make_instance("1.2.3").content.replace(b"1.2.3\0", b"../..\0", 1)
    with pytest.raises(HeaderError, match="SOPInstanceUID is not a UID"):
        read_identity(content, ExplicitVRLittleEndian)


def test_a_missing_patient_id_is_empty_and_any_character_set_is_read() -> None:
    dataset = make_dataset()
    del dataset.PatientID
    assert read_identity(encode(dataset), ExplicitVRLittleEndian).patient_id == ""
    content = encode(make_dataset(PatientID="Mxller")).replace(b"Mxller", b"M\xfcller")
    assert read_identity(content, ExplicitVRLittleEndian).patient_id == "Müller"


def test_a_deflate_bomb_stays_small() -> None:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflate.compress(b"\0" * (64 * INFLATE_LIMIT_BYTES)) + deflate.flush()
    with pytest.raises(HeaderError):
        read_identity(bomb, DeflatedExplicitVRLittleEndian)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(content=st.binary(max_size=400), syntax=st.sampled_from(SYNTAXES))
def test_any_bytes_are_an_identity_or_a_header_error(content: bytes, syntax: str) -> None:
    with pytest.raises(HeaderError):
        read_identity(content, syntax)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom remarks on character sets that do not exist
@given(at=st.integers(0, 900), byte=st.integers(0, 255), syntax=st.sampled_from(SYNTAXES))
def test_a_damaged_header_is_an_identity_or_a_header_error(at: int, byte: int, syntax: str) -> None:
    content = bytearray(make_instance("1.2.3", transfer_syntax_uid=syntax).content)
    content[at] = byte
    try:
        identity = read_identity(bytes(content), syntax)
    except HeaderError:
        return
    assert identity.sop_uid
