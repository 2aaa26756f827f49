from __future__ import annotations

import re
import string

import pytest

from edge_app.core.reasons import TEXTS
from edge_app.ui.states import ScreenState
from edge_app.ui.strings import BANNED, LANGUAGES, STRINGS, reason_text, text
from edge_app.ui.windowing import PRESETS


@pytest.mark.requirement("R84")
def test_every_string_is_there_in_every_language_with_the_same_values() -> None:
    for key, words in STRINGS.items():
        assert len(words) == len(LANGUAGES), key
        fields = [{name for _, name, _, _ in string.Formatter().parse(word) if name} for word in words]
        assert all(field == fields[0] for field in fields), key
        assert [bool(word) for word in words] == [bool(words[0])] * len(words), key


def test_every_state_and_window_has_its_words() -> None:
    for state in ScreenState:
        for part in ("head", "lead", "note"):
            assert f"{part}.{state.value}" in STRINGS
        assert len(STRINGS[f"head.{state.value}"][0].split("\n")) <= 2
    for preset in PRESETS:
        assert f"preset.{preset.key}" in STRINGS


def test_every_reason_has_german_words() -> None:
    for code in TEXTS:
        assert reason_text(code, "de")
        assert reason_text(code, "en") == TEXTS[code]
    assert reason_text("Q-99", "en") == reason_text("Q-99", "de") == ""


@pytest.mark.requirement("R02")
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_string_holds_a_banned_word(language: str) -> None:
    every = {key: words[LANGUAGES.index(language)] for key, words in STRINGS.items() if key != "disclaimer"}
    every |= {code: reason_text(code, language) for code in TEXTS}
    for key, words in every.items():
        for banned in BANNED[language]:
            assert not re.search(rf"\b{re.escape(banned)}", words, re.IGNORECASE), f"{key}: {words!r} holds {banned!r}"


@pytest.mark.requirement("R01")
def test_the_disclaimer_is_word_for_word() -> None:
    assert text("disclaimer", "en") == "AI triage aid - not a diagnosis. A clinician must read the images."


@pytest.mark.requirement("R40")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", [state for state in ScreenState if state not in ("haemorrhage",)])
def test_a_state_says_its_piece_in_twenty_words(state: ScreenState, language: str) -> None:
    index = LANGUAGES.index(language)
    words = " ".join(STRINGS[f"{part}.{state.value}"][index] for part in ("head", "lead", "note"))
    assert len(words.split()) <= 20


def test_a_missing_key_language_or_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        text("no.such.key", "en")
    with pytest.raises(KeyError, match="fr"):
        text("disclaimer", "fr")
    with pytest.raises(KeyError):
        text("lead.receiving", "en")
