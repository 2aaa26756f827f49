from __future__ import annotations

from dataclasses import replace

import pytest

from edge_app.core.config import ScreenSettings
from edge_app.core.reasons import TEXTS, reason
from edge_app.core.types import ModelIdentity, StudyStatus, Verdict
from edge_app.store.ledger import FrameRow
from edge_app.triage.decision import ISCHAEMIA_OFF, ISCHAEMIA_TOO
from edge_app.ui.desk import Desk
from edge_app.ui.model_facts import ModelFacts
from edge_app.ui.presenter import present
from edge_app.ui.screen_model import BandKind, ScreenModel
from edge_app.ui.snapshot import Snapshot
from edge_app.ui.states import ScreenState
from edge_app.ui.viewer import ViewerModel
from tests.unit.ui.views import MOMENT, alive, finished, heart, result, snapshot, study

PATIENT = {
    "name": "MUSTERMANN^ERIKA",
    "id": "4711-88",
    "birth_date": "19510402",
    "sex": "F",
    "accession": "A-0917",
    "study_date": "20260314",
    "study_time": "140219.0",
    "acquired_at": "20260314140219",
    "manufacturer_model": "ACME Mobile",
    "series_number": 3,
    "kernel": "H30s",
    "slice_thickness_mm": 5.0,
}
VIEWER = ViewerModel("1.2", tuple(f"1.2.3.{i}" for i in range(10)), index=7)


def show(snap: Snapshot, language: str = "en", viewer: ViewerModel = VIEWER, **more) -> ScreenModel:
    desk = more.pop("desk", Desk(language=language))
    return present(snap, viewer, desk, MOMENT, site=more.pop("site", ScreenSettings()), **more)


def test_the_patient_band_holds_the_identity() -> None:
    band = show(snapshot(study(patient=PATIENT))).patient
    assert band.name == "MUSTERMANN, ERIKA"
    assert band.details == "*1951-04-02 (74 F)   ID 4711-88   Acc A-0917   2026-03-14 14:02"
    german = show(snapshot(study(patient=PATIENT)), "de").patient
    assert german.details.startswith("*02.04.1951 (74 F)")


def test_a_patient_without_identity_is_said_to_be_unknown() -> None:
    unknown = show(snapshot(study())).patient.name
    assert unknown.startswith("UNKNOWN · ") and unknown == show(snapshot(study())).patient.name
    emergency = show(snapshot(study(patient={**PATIENT, "name": "EMERGENCY^12"}))).patient.name
    assert emergency.startswith("UNKNOWN · ") and emergency.endswith(" 14:02")
    assert show(snapshot()).patient.name == "No patient"


@pytest.mark.requirement("R56")
def test_clocks_run_from_scan_last_image_and_result() -> None:
    view = replace(finished(Verdict.HEMORRHAGE), patient=PATIENT, result_s=MOMENT.monotonic_s - 18)
    clocks = show(snapshot(view)).clocks
    assert [(clock.label, clock.value) for clock in clocks] == [
        ("", "14:09:31"),
        ("SCAN", "+07:12"),
        ("IMAGE", "+00:01"),
        ("RESULT", "+00:18"),
    ]


def test_a_scan_from_the_future_or_another_day_is_a_time_of_day() -> None:
    for acquired in ("20260314150000", "20260312150000"):
        view = study(patient={**PATIENT, "acquired_at": acquired})
        clocks = show(snapshot(view)).clocks
        assert clocks[1].value == "15:00"
        assert clocks[0].value.startswith("! ")


@pytest.mark.requirement("R03")
@pytest.mark.parametrize("language", ["en", "de"])
def test_not_detected_always_carries_its_caveat(language: str) -> None:
    texts = show(snapshot(finished(Verdict.NONE_DETECTED)), language).result
    assert texts.lead in ("does not exclude haemorrhage or stroke", "schließt Blutung oder Schlaganfall nicht aus")


@pytest.mark.parametrize(
    ("verdict", "score"),
    [
        (Verdict.HEMORRHAGE, "score 87\u00a0% · high band"),
        (Verdict.NONE_DETECTED, "score 87\u00a0% · low band"),
        (Verdict.ISCHEMIC, "score 3\u00a0% · high band"),
    ],
)
def test_the_score_is_that_of_the_finding(verdict: Verdict, score: str) -> None:
    assert show(snapshot(finished(verdict))).result.score == score


def test_an_indeterminate_result_names_its_reason_and_hides_a_score_that_means_nothing() -> None:
    between = show(snapshot(finished(Verdict.INDETERMINATE, reason("Q-19")))).result
    assert (between.note, between.tag) == ("Score between the two thresholds", "Q-19")
    assert between.score == "score 87\u00a0% · middle band"
    unlike = show(snapshot(finished(Verdict.INDETERMINATE, reason("Q-20")))).result
    assert unlike.score == ""


@pytest.mark.requirement("R04", "R06", "R22")
def test_ischaemic_signs_beside_a_haemorrhage_are_its_second_line_and_unvalidated() -> None:
    model = show(snapshot(finished(Verdict.HEMORRHAGE, quality=(ISCHAEMIA_TOO,))))
    assert model.result.headline == ("HAEMORRHAGE", "SUSPECTED")
    assert model.result.note == "+ ischaemic signs suspected · score 3\u00a0%"
    assert [band.kind for band in model.bands] == [BandKind.UNVALIDATED]


def test_an_indeterminate_result_about_ischaemic_signs_shows_their_score() -> None:
    model = show(snapshot(finished(Verdict.INDETERMINATE, reason("Q-19", "ischaemic signs"))), "de")
    assert model.result.score.startswith("Score 3\u00a0%")
    assert model.result.note == "Score zwischen den Schwellen (Ischämiezeichen)"
    assert [band.kind for band in model.bands] == [BandKind.UNVALIDATED]


def test_an_ischaemia_output_that_is_off_is_said_in_the_language_of_the_screen() -> None:
    view = finished(Verdict.NONE_DETECTED, quality=(ISCHAEMIA_OFF,))
    assert "Ischämiezeichen: nicht beurteilt" in show(snapshot(view), "de").info


@pytest.mark.parametrize("code", TEXTS)
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_reason_is_shown_with_code_and_words_and_detail(code: str, language: str) -> None:
    texts = show(snapshot(finished(None, reason(code, "after slice 14"))), language).result
    assert texts.tag == code
    assert texts.lead.endswith("(after slice 14)")
    if language == "en":
        assert texts.lead.startswith(TEXTS[code])


def test_a_study_that_failed_without_a_reason_still_has_a_code() -> None:
    assert show(snapshot(study(StudyStatus.FAILED))).result.tag == "E-104"


@pytest.mark.requirement("R08")
def test_expected_images_are_named_only_when_they_are_known() -> None:
    assert show(snapshot(study())).result.lead == "21 images received"
    assert show(snapshot(study(images=1))).result.lead == "1 image received"
    known = study(progress={"expected": 32, "coverage_mm": 94.0, "needed_mm": 110.0})
    texts = show(snapshot(known)).result
    assert texts.lead == "21 images received, 32 expected"
    assert texts.progress is not None
    assert texts.progress.text == "coverage 94 mm (110 mm needed)"
    assert texts.progress.fraction == pytest.approx(94 / 110)


@pytest.mark.requirement("R10")
def test_a_withdrawn_result_says_that_images_changed() -> None:
    view = study(StudyStatus.ANALYSING, result_instance_id=5)
    model = show(snapshot(view))
    assert model.result.lead == "Images changed - re-analysing"
    assert model.key_slices == () and all(bar.value is None for bar in model.strip)


def test_a_revision_is_named() -> None:
    assert show(snapshot(finished(Verdict.HEMORRHAGE, revision=2))).result.tag == "REVISED 2"


@pytest.mark.requirement("R06")
def test_bands_mark_synthetic_models_and_unvalidated_findings() -> None:
    assert show(snapshot(finished(Verdict.HEMORRHAGE))).bands == ()
    ischemic = show(snapshot(finished(Verdict.ISCHEMIC)))
    assert [band.kind for band in ischemic.bands] == [BandKind.UNVALIDATED]
    assert show(snapshot(finished(Verdict.ISCHEMIC)), ischaemia_validated=True).bands == ()
    synthetic = finished(Verdict.HEMORRHAGE, model=ModelIdentity("m", "1", "0" * 64, synthetic=True))
    assert [band.kind for band in show(snapshot(synthetic)).bands] == [BandKind.SYNTHETIC]
    for detail in ({"synthetic": True}, {"model": {"synthetic": True, "version": "1"}}):
        loaded = snapshot(heartbeats={**alive(), "work": heart("work", **detail)})
        assert [band.kind for band in show(loaded).bands] == [BandKind.SYNTHETIC]


@pytest.mark.requirement("R33")
@pytest.mark.parametrize("verdict", list(Verdict))
def test_key_slices_are_there_for_every_verdict(verdict: Verdict) -> None:
    model = show(snapshot(finished(verdict)))
    assert [key.number for key in model.key_slices] == [10, 8, 6, 4, 2]
    assert [key.shown for key in model.key_slices] == [False, True, False, False, False]
    assert [number for number, bar in enumerate(model.strip) if bar.key] == [1, 3, 5, 7, 9]


def test_the_strip_shows_the_finding_that_is_named() -> None:
    bleeding = show(snapshot(finished(Verdict.HEMORRHAGE))).strip
    assert bleeding[9].value == pytest.approx(0.9)
    assert show(snapshot(finished(Verdict.ISCHEMIC))).strip[9].value == pytest.approx(0.05)
    between = finished(Verdict.INDETERMINATE, reason("Q-19", "ischaemic signs"))
    facts = ModelFacts("", {"hemorrhage": (0.1, 0.8), "ischemic": (0.3, 0.6)}, ())
    model = show(snapshot(between, models={"0" * 64: facts}))
    assert (model.strip[9].value, model.thresholds) == (pytest.approx(0.05), (0.3, 0.6))
    assert show(snapshot(finished(None, reason("Q-02"), slices=()))).strip[9].value is None


@pytest.mark.requirement("R53")
def test_corner_texts_follow_viewer_habit() -> None:
    frame = FrameRow("1.2.3.7", "1.2", "1.2.3", 35.0, 0.5, 0.5, 512, 512, "frames/x.npy", "")
    view = show(snapshot(replace(finished(Verdict.HEMORRHAGE), patient=PATIENT), frames=(frame,))).view
    assert view.top_left == ("MUSTERMANN, ERIKA", "4711-88")
    assert view.top_right == ("2026-03-14 14:02", "ACME Mobile")
    assert view.bottom_left == ("z 35.0 mm · 5 mm", "8 / 10")
    assert view.bottom_right == ("W 80 L 40", "×1.0")
    assert view.burnt_in == "not a diagnostic display"
    assert view.letters


def test_no_letters_where_the_orientation_is_not_known() -> None:
    frame = FrameRow("1.2.3.7", "1.2", "1.2.3", None, None, None, 512, 512, None, "no position")
    view = show(snapshot(study(), frames=(frame,))).view
    assert not view.letters
    assert view.placeholder == "image cannot be shown"


def test_the_information_lines_name_series_model_and_quality() -> None:
    view = replace(finished(Verdict.HEMORRHAGE, quality=("table in view",)), patient=PATIENT)
    assert show(snapshot(view)).info == (
        "Key slices seen: 0 of 5",
        "Series 3 · 5 mm · H30s · 10 images",
        "table in view",
        "Model m 1.4.2",
        "CPU",
    )


def test_the_footer_says_which_process_is_off() -> None:
    beats = alive()
    assert [(item.text, item.good) for item in show(snapshot(heartbeats=beats)).status] == [
        ("CT ok", True),
        ("AI 1.4.2", True),
        ("LINK ok", True),
    ]
    disk = {**beats, "receive": heart("receive", free_bytes=29 << 30, total_bytes=100 << 30)}
    assert show(snapshot(heartbeats=disk)).status[1].text == "DISK 71\u00a0%"
    low = {**beats, "receive": heart("receive", low_disk=True)}
    assert show(snapshot(heartbeats=low)).status[1].text == "DISK LOW"
    assert [item.text for item in show(snapshot(heartbeats={})).status] == ["CT OFF", "AI OFF", "SENDING STOPPED"]
    starting = snapshot(heartbeats={}, started_s=MOMENT.monotonic_s)
    assert [item.text for item in show(starting).status] == ["...", "...", "..."]


def test_a_previous_case_is_marked_and_the_list_says_which_is_current() -> None:
    old = replace(finished(None, reason("Q-07")), study_uid="0.9", patient=PATIENT)
    model = show(snapshot(study(), old), shown_uid="0.9")
    assert model.state is ScreenState.NO_AI_RESULT
    assert model.patient.previous == "PREVIOUS CASE - not the current patient"
    assert model.actions[3].label == "CURRENT"
    assert [(row.status, row.current) for row in model.cases] == [("RECEIVING", True), ("NO AI RESULT  Q-07", False)]
    assert show(snapshot(study(), old)).patient.previous == ""


def test_hostile_text_from_headers_stays_one_short_line() -> None:
    evil = {**PATIENT, "name": "A\n\u202eB" + "X" * 500 + "^\x00Y", "id": "\t" + "7" * 500, "kernel": None}
    model = show(snapshot(study(patient=evil)))
    assert len(model.patient.name) <= 40
    assert len(model.patient.details) < 90
    assert all(ord(c) >= 32 for c in model.patient.name + model.patient.details)
    assert "\u202e" not in model.patient.name


def test_a_result_that_is_present_never_shows_beside_another_state() -> None:
    for status in (StudyStatus.RECEIVING, StudyStatus.ANALYSING):
        model = show(snapshot(study(status)))
        assert model.result.score == ""
        assert model.revision == 0
    assert show(snapshot(finished(Verdict.HEMORRHAGE))).revision == result(Verdict.HEMORRHAGE).revision
