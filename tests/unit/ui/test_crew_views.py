"""Timers, review, identity, hand-over and evidence: pure functions over snapshots made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edge_app.core.config import ScreenSettings
from edge_app.core.reasons import reason
from edge_app.core.types import ModelIdentity, Verdict
from edge_app.store.overview import DeliveryCount
from edge_app.ui.about import about_lines
from edge_app.ui.desk import Desk
from edge_app.ui.hand_over import QR_BYTES, card
from edge_app.ui.identity import HIDDEN, case_tag, similar_today
from edge_app.ui.model_facts import ModelFacts, Validation, read_model_facts
from edge_app.ui.presenter import present
from edge_app.ui.result_texts import evidence
from edge_app.ui.review import Review
from edge_app.ui.states import ScreenState
from edge_app.ui.strings import text
from edge_app.ui.timers import clocks, window_bar
from edge_app.ui.viewer import ViewerModel
from tests.unit.ui.views import MOMENT, NOW_S, entry, finished, heart, snapshot, study

PATIENT = {"name": "MUSTERMANN^ERIKA", "id": "4711", "birth_date": "19510402", "study_date": "20260314",
           "study_time": "140219", "acquired_at": "20260314140219", "accession": "A-0917"}  # fmt: skip
FACTS = ModelFacts(
    "# Card",
    {"hemorrhage": (0.12, 0.62)},
    (Validation(0.0, 0.12, 310, 6), Validation(0.12, 0.62, 19, 9), Validation(0.62, 1.0, 412, 334)),
)


def with_lkw(minutes_ago: float, **more):
    at = (MOMENT.local - timedelta(minutes=minutes_ago)).isoformat()
    return replace(finished(Verdict.HEMORRHAGE), crew={"lkw": entry("lkw", at=at, by="nurse")}, **more)


@pytest.mark.requirement("R57")
def test_the_window_counts_down_with_marks_and_says_what_to_do_after_it() -> None:
    bar = window_bar(with_lkw(64), "en", MOMENT, 270)
    assert bar is not None and (bar.text, bar.level) == ("WINDOW 3:26 h", 0)
    assert bar.spent == pytest.approx(64 / 270)
    for minutes, level in ((209, 0), (210, 1), (240, 2), (255, 3)):
        marked = window_bar(with_lkw(minutes), "en", MOMENT, 270)
        assert marked is not None and marked.level == level
    passed = window_bar(with_lkw(270), "en", MOMENT, 270)
    assert passed is not None and (passed.text, passed.spent) == ("window passed - ask neurologist", 1.0)
    shorter = window_bar(with_lkw(64), "de", MOMENT, 180)
    assert shorter is not None and shorter.text == "FENSTER 1:56 h"


@pytest.mark.requirement("R45", "R57")
def test_no_countdown_without_a_time_and_none_by_a_wrong_clock() -> None:
    assert window_bar(finished(Verdict.HEMORRHAGE), "en", MOMENT, 270) is None
    unknown = replace(finished(Verdict.HEMORRHAGE), crew={"lkw": entry("lkw", at=None)})
    assert window_bar(unknown, "en", MOMENT, 270) is None
    wrong = with_lkw(64, patient={"acquired_at": "20260314150000"})
    bar = window_bar(wrong, "en", MOMENT, 270)
    assert bar is not None and (bar.text, bar.marks) == ("CHECK CLOCK", ())


@pytest.mark.requirement("R45", "R57")
def test_no_countdown_from_a_time_that_is_yet_to_come() -> None:
    ahead = study(crew={"lkw": entry("lkw", at=(MOMENT.local + timedelta(minutes=55)).isoformat())})
    bar = window_bar(ahead, "en", MOMENT, 270)
    assert bar is not None and (bar.spent, bar.text) == (0.0, text("window.clock", "en"))
    assert clocks(ahead, "en", MOMENT)[0].value.startswith("! ")
    just = study(crew={"lkw": entry("lkw", at=(MOMENT.local + timedelta(seconds=30)).isoformat())})
    assert window_bar(just, "en", MOMENT, 270) != bar


@pytest.mark.requirement("R34")
def test_images_count_as_reviewed_after_five_key_slices_a_second_each() -> None:
    keys, slices = ("a", "b"), tuple("abcdefghij")
    review = Review().look("1", "a", 0.0).look("1", "a", 0.9)
    assert review.seen == frozenset() and review.how(keys, frozenset(), slices) == ""
    review = review.look("1", "a", 1.0).look("1", "b", 1.2).look("1", None, 5.0).look("1", "b", 6.0)
    assert review.seen == {"a"}, "time behind a sheet does not count"
    review = review.look("1", "b", 7.0)
    assert review.how(keys, frozenset(), slices) == "key_slices"
    assert Review().look("1", "b", 0).look("1", "b", 1).how(keys, frozenset({"a"}), slices) == "key_slices"
    assert review.look("2", "x", 8.0).seen == frozenset(), "another patient begins anew"


@pytest.mark.requirement("R34")
def test_images_count_as_reviewed_after_nine_tenths_of_the_stack() -> None:
    slices = tuple("abcdefghij")
    review = Review()
    for number, uid in enumerate("abcdefgh"):
        review = review.look("1", uid, number * 0.1)
    assert review.how(("a",), frozenset(), slices) == ""
    assert review.look("1", "j", 1.0).how(("a",), frozenset(), slices) == "stack"
    assert Review().how((), frozenset(), ()) == ""


@pytest.mark.requirement("R60")
def test_a_patient_who_looks_like_another_of_the_same_day_is_said() -> None:
    mine = study(patient=PATIENT)
    for other, alike in (
        ({"name": "MUSTERMAN^ERIKA", "id": "9"}, True),
        ({"name": "SCHMIDT^JO", "id": "9", "birth_date": "19510420"}, True),
        ({"name": "SCHMIDT^JO", "id": "9", "birth_date": "19880917"}, False),
        ({"name": "MUSTERMAN^ERIKA", "id": "9", "study_date": "20260313"}, False),
        ({}, False),
    ):
        second = study(study_uid="9.9", patient={**PATIENT, **other})
        assert similar_today(mine, (mine, second)) is alike, other


@pytest.mark.requirement("R60")
@pytest.mark.parametrize(("first_utc", "alike"), [("2026-03-14T00:20:00Z", True), ("2026-03-14T13:00:00Z", False)])
def test_patients_of_one_shift_may_look_alike_across_midnight(first_utc: str, alike: bool) -> None:
    mine = study(patient=PATIENT, first_utc=first_utc)
    before = {**PATIENT, "name": "MUSTERMAN^ERIKA", "id": "9", "study_date": "20260313"}
    second = study(study_uid="9.9", patient=before, first_utc="2026-03-13T23:50:00.000000Z")
    assert similar_today(mine, (mine, second)) is alike


@pytest.mark.requirement("R61")
def test_a_nameless_patient_has_the_same_tag_in_all_outputs() -> None:
    case = replace(finished(Verdict.HEMORRHAGE), patient={**PATIENT, "name": "EMERGENCY^3"})
    tag = case_tag(case, "en")
    whole = card(snapshot(case), case, "en", MOMENT)
    assert tag in whole.lines[0][1] and f"tag={tag}" in whole.qr


@pytest.mark.requirement("R76", "R83")
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_card_holds_everything_and_its_qr_neither_name_nor_birth_date(language: str) -> None:
    crew = {
        "lkw": entry("lkw", at=(MOMENT.local - timedelta(minutes=64)).isoformat(), by="nurse"),
        "opinion": entry("opinion", opinion="disagree", by="doctor", revision=1),
        "notify": entry("notify", number=7),
    }
    case = replace(finished(Verdict.HEMORRHAGE), patient=PATIENT, crew=crew, delivery=DeliveryCount(1, 0, 0, 12, 0, ""))
    whole = card(snapshot(case, models={"0" * 64: FACTS}), case, language, MOMENT)
    words = " ".join(text for _, text in whole.lines)
    well = "14.03.2026 13:05" if language == "de" else "2026-03-14 13:05"
    for part in ("MUSTERMANN, ERIKA", well, "87 %", "12 %", "1.4.2", "14:05", "12"):
        assert part in words, part
    assert len(whole.qr.encode()) <= QR_BYTES
    for secret in ("MUSTERMANN", "ERIKA", "1951", "4711"):
        assert secret not in whole.qr
    for part in (
        "ai=haemorrhage",
        "ph=0.87",
        "pi=0.03",
        "crew=disagree doctor",
        "id=UNCONFIRMED",
        "images=not reviewed",
    ):
        assert part in whole.qr


@pytest.mark.requirement("R20", "R76")
@pytest.mark.parametrize("code", ["Q-16", "Q-20"])
def test_the_card_says_no_score_where_the_screen_hides_it(code: str) -> None:
    case = replace(finished(Verdict.INDETERMINATE, reason(code)), patient=PATIENT)
    whole = card(snapshot(case, models={"0" * 64: FACTS}), case, "en", MOMENT)
    assert dict(whole.lines)["AI"] == f"INDETERMINATE · {code}"
    assert f"code={code}" in whole.qr and "ph=" not in whole.qr and "pi=" not in whole.qr
    between = replace(finished(Verdict.INDETERMINATE, reason("Q-19", "haemorrhage")), patient=PATIENT)
    assert "87" in dict(card(snapshot(between), between, "en", MOMENT).lines)["AI"]


@pytest.mark.requirement("R10", "R76")
def test_the_card_says_nothing_of_an_answer_to_fewer_images_when_the_worker_has_died() -> None:
    newer = {"patient": PATIENT, "last_instance_id": 10}
    case = replace(finished(Verdict.INDETERMINATE, reason("Q-19", "haemorrhage")), **newer)
    whole = card(snapshot(case, heartbeats={"receive": heart("receive")}), case, "en", MOMENT)
    assert "Q-19" not in dict(whole.lines)["AI"]
    assert "ai=ai_stopped" in whole.qr
    assert all(part not in whole.qr for part in ("ph=", "pi=", "code="))


@pytest.mark.requirement("R35", "R76")
def test_the_card_does_not_tell_what_the_ai_says_before_the_crew_has_read() -> None:
    case = replace(finished(Verdict.NONE_DETECTED), patient=PATIENT)
    whole = card(snapshot(case), case, "en", MOMENT, ScreenState.READ_FIRST)
    words = f"{whole.lines} {whole.qr}"
    assert "DETECTED" not in words and "ph=" not in words and "ai=read_first" in words


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ({"acquired_at": "20260314140205.5", "study_time": "133000"}, "14:02"),
        ({"acquired_at": "", "study_time": "133000"}, "13:30"),
        ({"acquired_at": "", "study_time": ""}, "-"),
    ],
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_card_has_the_time_of_the_images_and_no_part_of_a_date(
    times: dict[str, str], shown: str, language: str
) -> None:
    case = replace(finished(Verdict.HEMORRHAGE), patient={**PATIENT, **times})
    assert card(snapshot(case), case, language, MOMENT).lines[1][1].endswith(f" {shown}")


@pytest.mark.requirement("R34", "R36", "R76")
def test_what_the_crew_said_of_an_earlier_answer_is_not_said_of_this_one() -> None:
    crew = {
        "opinion": entry("opinion", opinion="agree", by="doctor", revision=1),
        "reviewed": entry("reviewed", by="doctor", revision=1),
    }
    first = replace(finished(Verdict.HEMORRHAGE), patient=PATIENT, crew=crew)
    whole = card(snapshot(first), first, "en", MOMENT)
    assert "crew=agree doctor" in whole.qr and "images=reviewed" in whole.qr
    second = replace(finished(Verdict.NONE_DETECTED, revision=2), patient=PATIENT, crew=crew)
    whole = card(snapshot(second), second, "en", MOMENT)
    words = dict(whole.lines)["Crew"]
    assert words == "no opinion entered · images not yet reviewed on board"
    assert "crew=" not in whole.qr and "images=not reviewed" in whole.qr
    model = present(snapshot(second), ViewerModel("1.2", ()), Desk(), MOMENT, site=ScreenSettings())
    assert "Images reviewed on board" not in model.info


@pytest.mark.requirement("R34", "R59", "R77")
def test_the_card_says_what_has_not_been_done_and_who_has_answered() -> None:
    case = replace(finished(Verdict.NONE_DETECTED), patient=PATIENT)
    words = " ".join(text for _, text in card(snapshot(case), case, "en", MOMENT).lines)
    for part in (
        "identity UNCONFIRMED",
        "images not yet reviewed on board",
        "centre not notified",
        "no opinion entered",
    ):
        assert part in words
    answered = replace(
        case,
        crew={"identity": entry("identity"), "reviewed": entry("reviewed", by="doctor"), "notify": entry("notify")},
        acknowledged=(1, "Dr Weber", "2026-03-14T14:10:00.000000Z"),
    )
    words = " ".join(text for _, text in card(snapshot(answered), answered, "en", MOMENT).lines)
    for part in ("identity confirmed", "images reviewed on board 14:05 (DOCTOR)", "answered 14:10 Dr Weber"):
        assert part in words


@pytest.mark.requirement("R75")
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_corrected_identifier_stands_on_screen_and_card_as_in_the_reports(language: str) -> None:
    crew = {"identity": entry("identity", 1), "corrected_identity": entry("corrected_identity", 2, patient_id="P-77")}
    case = replace(finished(Verdict.HEMORRHAGE), patient=PATIENT, crew=crew)
    whole = card(snapshot(case), case, language, MOMENT)
    model = present(
        snapshot(case), ViewerModel("1.2", ("1.2.3.1",)), Desk(language=language), MOMENT, site=ScreenSettings()
    )
    said = "ID P-77 CORRECTED (4711)" if language == "en" else "ID P-77 KORRIGIERT (4711)"
    assert said in whole.lines[0][1] and said in model.patient.details and "A-0917" not in model.patient.details
    assert "id=CORRECTED" in whole.qr and "P-77" not in whole.qr
    hidden = card(snapshot(case), case, language, MOMENT, hidden=True)
    assert "P-77" not in hidden.lines[0][1]


@pytest.mark.requirement("R81")
def test_the_curtain_hides_who_it_is_everywhere() -> None:
    case = replace(finished(Verdict.HEMORRHAGE), patient=PATIENT)
    model = present(
        snapshot(case),
        ViewerModel("1.2", ("1.2.3.1",)),
        Desk(curtain=True),
        MOMENT,
        site=ScreenSettings(),
    )
    assert (model.patient.name, model.patient.details) == (HIDDEN, HIDDEN)
    for secret in ("MUSTERMANN", "4711", "1951"):
        assert secret not in str(model)


@pytest.mark.requirement("R26")
def test_the_score_is_said_in_natural_frequencies_where_enough_scans_scored_alike() -> None:
    models = {"0" * 64: FACTS}
    bleeding = finished(Verdict.HEMORRHAGE)
    said = evidence(snapshot(bleeding, models=models), bleeding.result, "en")
    assert said == "Of 100 scans scoring like this, about 81 had haemorrhage (n=412)."
    few = finished(Verdict.NONE_DETECTED, probabilities={"negative": 0.7, "hemorrhage": 0.3, "ischemic": 0.0})
    assert evidence(snapshot(few, models=models), few.result, "en") == "Too few validation scans scored like this."
    for positives, n, words in ((0, 64, "fewer than 6"), (1, 400, "fewer than 2"), (2, 64, "about 3"),
                                (64, 64, "more than 94"), (63, 64, "about 98")):  # fmt: skip
        own = {"0" * 64: replace(FACTS, reliability=(Validation(0.0, 1.0, n, positives),))}
        wanted = f"Of 100 scans scoring like this, {words} had haemorrhage (n={n})."
        assert evidence(snapshot(bleeding, models=own), bleeding.result, "en") == wanted
    stroke = finished(Verdict.ISCHEMIC)
    assert evidence(snapshot(stroke, models=models), stroke.result, "en") == ""
    assert evidence(snapshot(bleeding), bleeding.result, "en") == ""


@pytest.mark.requirement("R27")
def test_the_about_panel_leaves_no_word_of_the_model_card_out() -> None:
    written = "# demo 0.1\n\nA text\nover two lines.\n\n## Table\n\n| a | b |\n|---|---|\n| **1** | `2` |\n- item one\n"
    lines = about_lines(replace(FACTS, card=written), None, "", "en")
    shown = " ".join(line.text for line in lines)
    for word in ("demo", "0.1", "A text over two lines.", "Table", "a   b", "1   2", "- item one"):
        assert word in shown


def test_what_the_worker_left_is_read_and_damage_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    assert read_model_facts(path) is None
    body = {"card": "# c", "thresholds": {"hemorrhage": [0.1, 0.6]}, "reliability": []}
    path.write_text(json.dumps(body))
    facts = read_model_facts(path)
    assert facts is not None and facts.thresholds == {"hemorrhage": (0.1, 0.6)}
    assert not facts.heat_maps
    path.write_text(json.dumps({**body, "heat_maps": True}))
    assert (released := read_model_facts(path)) is not None and released.heat_maps
    for broken in ("{", "[]", json.dumps({**body, "reliability": [{"lo": 0}]})):
        path.write_text(broken)
        assert read_model_facts(path) is None


@pytest.mark.requirement("R38")
def test_a_model_whose_heat_maps_have_not_been_released_has_no_button_for_them() -> None:
    case = finished(Verdict.HEMORRHAGE)
    assert case.result is not None and case.result.model is not None

    def button(facts: ModelFacts | None) -> str:
        models = {case.result.model.sha256: facts} if facts else {}
        model = present(snapshot(case, models=models), ViewerModel("1.2"), Desk(), MOMENT, site=ScreenSettings())
        return model.heat_map.action

    assert button(None) == button(FACTS) == ""
    assert button(replace(FACTS, heat_maps=True)) == "heat_map"


@pytest.mark.requirement("R29")
def test_the_usual_time_comes_from_this_devices_own_results() -> None:
    from edge_app.core.types import StudyStatus

    case = study(StudyStatus.ANALYSING, last_image_s=NOW_S - 12)

    def note(usual_s: float | None) -> str:
        viewer = ViewerModel("1.2")
        return present(snapshot(case, usual_s=usual_s), viewer, Desk(), MOMENT, site=ScreenSettings()).result.note

    assert note(20.4) == "12 s (usually 20 s)"
    assert note(None) == "Images can be viewed now."


def test_the_link_to_the_centre_is_in_the_footer() -> None:
    def said(link: str, **more) -> str:
        beats = {**snapshot().heartbeats, "deliver": heart("deliver", link=link, **more)}
        case = replace(finished(Verdict.HEMORRHAGE), delivery=DeliveryCount(queued=1))
        model = present(snapshot(case, heartbeats=beats), ViewerModel(), Desk(), MOMENT, site=ScreenSettings())
        return model.status[-1].text

    assert [said(link) for link in ("off", "down", "idle")] == ["LINK off", "LINK DOWN", "UNSENT 1"]


def test_a_development_key_or_another_backend_is_a_band_that_stays() -> None:
    identity = ModelIdentity("m", "1", "0" * 64, synthetic=True, development_key=True)
    remark = "runs on the CPU, not on a TensorRT engine: no passport"
    case = finished(Verdict.ISCHEMIC, model=identity, quality=(remark,))
    model = present(snapshot(case), ViewerModel(), Desk(), MOMENT, site=ScreenSettings())
    assert [band.text for band in model.bands] == [
        "SYNTHETIC MODEL - NOT FOR PATIENTS",
        "DEVELOPMENT KEY",
        "FALLBACK BACKEND",
        "UNVALIDATED",
    ]
