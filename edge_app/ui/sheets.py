"""What lies over the centre of the screen when the crew does something: lines and rows of buttons. No Qt.

Every action of `edge_app.ui.desk` has its button here or in `edge_app.ui.actions`; all of them work by touch, keyboard
and dial, because they are nothing but buttons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_app.core.config import ScreenSettings
from edge_app.ui import formats
from edge_app.ui.about import about_lines
from edge_app.ui.desk import IMPRESSIONS, ROLES, SOURCES, Desk, Sheet, is_active
from edge_app.ui.facts import Moment, sending_is_off
from edge_app.ui.hand_over import card, lkw_words, verdict_words
from edge_app.ui.identity import display_name, order_lines
from edge_app.ui.notice_texts import is_outdated, must_call, notice_words
from edge_app.ui.result_texts import evidence
from edge_app.ui.review import saved_card_of
from edge_app.ui.screen_model import LineKind, SheetButton, SheetLine, SheetModel
from edge_app.ui.series_choice import can_choose, series_buttons
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import ScreenState
from edge_app.ui.strings import text
from edge_app.ui.timers import lkw_of, local_time

__all__ = ["sheet_model"]

_Rows = tuple[tuple[SheetButton | None, ...], ...]


@dataclass(frozen=True, slots=True)
class _Case:
    snapshot: Snapshot
    study: StudyView
    """An empty one where there is none; `has_study` tells."""
    has_study: bool
    state: ScreenState
    desk: Desk
    now: Moment
    site: ScreenSettings

    def text(self, key: str, **values: object) -> str:
        return text(key, self.desk.language, **values)

    def button(
        self, action: str, key: str, *, primary: bool = False, active: bool = False, destructive: bool = False
    ) -> SheetButton:
        return SheetButton(action, self.text(key), primary=primary, active=active, destructive=destructive)


def sheet_model(
    snapshot: Snapshot,
    study: StudyView | None,
    state: ScreenState,
    desk: Desk,
    now: Moment,
    site: ScreenSettings,
) -> SheetModel | None:
    """Return the open sheet, or None. `state` is the study's, and `study` what may be said of it in that state."""
    make = _SHEETS.get(desk.sheet)
    if make is None or (desk.sheet in _OF_A_CASE and study is None):
        return None
    lines, rows, qr = make(_Case(snapshot, study or StudyView(""), study is not None, state, desk, now, site))
    # The card needs every line there is; the lit button says what it is.
    title = "" if qr else text(f"sheet.{desk.sheet.value}", desk.language)
    return SheetModel(desk.sheet.value, title, lines, rows, qr)


_Sheet = tuple[tuple[SheetLine, ...], _Rows, str]


def _large(words: str) -> SheetLine:
    return SheetLine(LineKind.LARGE, words)


def _alert(words: str) -> SheetLine:
    return SheetLine(LineKind.ALERT, words)


def _body(words: str) -> SheetLine:
    return SheetLine(LineKind.BODY, words)


def _menu(c: _Case) -> _Sheet:
    """Three groups, a row each: the images, the case, the screen."""
    role = SheetButton("open:role", c.text("button.role", role=c.text(f"role.{c.desk.role}")))
    theme = SheetButton("theme", c.text("button.theme", theme=c.text(f"theme.{c.desk.theme}")))
    may_lock = not is_active(c.study if c.has_study else None, c.now)

    def of_case(action: str, key: str) -> SheetButton | None:
        return c.button(action, key) if c.has_study else None

    rows: _Rows = (
        (
            of_case("full", "button.full"),
            of_case("zoom", "button.zoom"),
            of_case("preset:4", "button.narrow"),
            None,
            None,
            c.button("open:about", "button.about"),
        ),
        (
            of_case("open:second_reading", "button.second_reading"),
            c.button("open:series", "button.series") if can_choose(c.study) else None,
            c.button("curtain", "button.curtain", active=c.desk.curtain),
            role,
            None,
            of_case("open:new_case", "button.new_case"),
        ),
        (
            theme,
            c.button("language", "button.language"),
            c.button("mute", "button.mute", active=c.desk.muted_until_s is not None),
            c.button("clean", "button.clean"),
            c.button("lock", "button.lock") if may_lock else None,
            c.button("back", "button.back"),
        ),
    )
    return (), rows, ""


def _about(c: _Case) -> _Sheet:
    result = c.study.result
    sha256 = result.model.sha256 if result and result.model else ""
    if not sha256 and "work" in c.snapshot.heartbeats:
        sha256 = str((c.snapshot.heartbeats["work"].detail.get("model") or {}).get("sha256") or "")
    lines = about_lines(
        c.snapshot.models.get(sha256), result, evidence(c.snapshot, result, c.desk.language), c.desk.language
    )
    return lines, ((c.button("page", "button.more"), None, c.button("back", "button.back")),), ""


def _confirm(c: _Case) -> _Sheet:
    """Show whom the scanner named; what a wristband or the hospital's order says otherwise stands beside it."""
    birth = formats.date_text(c.study.patient.get("birth_date"), c.desk.language)
    identifier = formats.clean(c.study.patient.get("id"), 24)
    lines = [_large(display_name(c.study, c.desk.language))]
    if birth:
        lines.append(_large(c.text("confirm.born", birth=birth)))
    if identifier:
        lines.append(_large(c.text("id", id=identifier)))
    order, *differs = order_lines(c.study, c.desk.language) or ("",)
    lines += [_body(order)] if order else []
    lines += [_alert(words) for words in differs]
    if c.desk.scanned:
        lines.append(_alert(c.text("confirm.other", scanned=formats.clean(c.desk.scanned, 24))))
    lines.append(_body(c.text("confirm.ask")))
    rows: _Rows = ((c.button("confirm", "button.matches", primary=True), None, c.button("back", "button.back")),)
    return tuple(lines), rows, ""


def _lkw(c: _Case) -> _Sheet:
    steps = (("-60", "− 1 h"), ("-10", "− 10 min"), ("-1", "− 1 min"), ("+1", "+ 1 min"), ("+10", "+ 10 min"),
             ("+60", "+ 1 h"))  # fmt: skip
    rows: _Rows = (
        tuple(SheetButton(f"lkw:{by}", words) for by, words in steps),
        (
            c.button("lkw:unknown", "button.unknown"),
            c.button("lkw:read_back", "button.read_back", primary=True),
            c.button("back", "button.back"),
        ),
    )
    return (*_last_known_well(c),), rows, ""


def _last_known_well(c: _Case) -> tuple[SheetLine, ...]:
    draft = c.desk.draft
    if draft is None:
        return (_large(c.text("lkw.read_unknown")),)
    since = formats.elapsed((c.now.local - draft).total_seconds())
    read = c.text("lkw.read", at=lkw_words(draft, c.desk.language, c.now))
    return _large(read), _large(c.text("lkw.ago", since=since))


def _lkw_read_back(c: _Case) -> _Sheet:
    lines = [*_last_known_well(c), *_lkw_before(c), _body(c.text("lkw.who"))]
    said = (c.button(f"lkw:keep:{source}", f"button.said.{source}", primary=True) for source in SOURCES)
    return tuple(lines), ((*said, c.button("open:lkw", "button.change")),), ""


def _lkw_before(c: _Case) -> tuple[SheetLine, ...]:
    lkw = lkw_of(c.study)
    return () if lkw is None else (_body(c.text("lkw.old", at=lkw_words(lkw.at, c.desk.language, c.now))),)


def _lkw_after_result(c: _Case) -> _Sheet:
    """Ask once more: whoever has read the result may have decided by the old time (R55)."""
    lines = (_alert(c.text("lkw.twice")), *_last_known_well(c), *_lkw_before(c))
    keep = c.button("lkw:keep", "button.keep_change", primary=True)
    return lines, ((c.button("back", "button.back", primary=True), None, keep),), ""


def _notify(c: _Case) -> _Sheet:
    whole = card(c.snapshot, c.study, c.desk.language, c.now, c.state, hidden=c.desk.curtain)
    recipient = c.site.centre or c.text("centre")
    lines = [_large(c.text("notify.to", recipient=recipient))]
    lines += [SheetLine(LineKind.PAIR, words, label) for label, words in whole.lines[:4]]
    again = is_outdated(c.study)
    if again:
        lines.append(_alert(c.text("notify.revised")))
    if again or "notify" not in c.study.crew:
        rows: _Rows = ((c.button("notify:send", "button.send", primary=True), None, c.button("back", "button.back")),)
        return tuple(lines), rows, ""
    words = notice_words(c.study, c.desk.language, c.now)
    call = must_call(c.study, c.desk.language, c.now, off=sending_is_off(c.snapshot))
    if words != call:
        lines.append(_large(words))
    if call:
        lines.append(_alert(call))
    rows = (
        (
            c.button("notify:answered", "button.acknowledged", primary=True),
            c.button("notify:send", "button.send"),
            c.button("back", "button.back"),
        ),
    )
    return tuple(lines), rows, ""


def _hand_over(c: _Case) -> _Sheet:
    whole = card(c.snapshot, c.study, c.desk.language, c.now, c.state, hidden=c.desk.curtain)
    saved = saved_card_of(c.study)
    lines = [SheetLine(LineKind.PAIR, words, label) for label, words in whole.lines]
    middle = SheetButton("", c.text("card.saved", at=local_time(saved.at_utc, c.now)), enabled=False) if saved else None
    row = (c.button("save", "button.save", primary=True), middle, c.button("page", "button.more"))
    rows: _Rows = ((*row, c.button("back", "button.back")),)
    return tuple(lines), rows, whole.qr


def _series(c: _Case) -> _Sheet:
    rows = (*series_buttons(c.study, c.desk.language), (None, c.button("back", "button.back")))
    return (_body(c.text("series.ask")),), rows, ""


def _role(c: _Case) -> _Sheet:
    buttons = tuple(c.button(f"role:{role}", f"role.{role}", active=role == c.desk.role) for role in ROLES)
    rows: _Rows = (buttons[:3], (*buttons[3:], c.button("back", "button.back")))
    return (_body(c.text("menu.role")),), rows, ""


def _new_case(c: _Case) -> _Sheet:
    """End the case: far from everything that is tapped often (R63)."""
    name = display_name(c.study, c.desk.language, hidden=c.desk.curtain)
    lines = (_large(name), _body(verdict_words(c.state, c.desk.language)), _body(c.text("new_case.text")))
    end = c.button("new_case", "button.end_case", destructive=True)
    return lines, ((end, None, None, None, None, c.button("back", "button.back", primary=True)),), ""


def _second_reading(c: _Case) -> _Sheet:
    """Take down what the neurologist at the other end sees (R79)."""
    kept = c.study.crew.get("second_reading")
    held = kept.body.get("reading") if kept else None
    lines = [_large(c.text("second.ask"))]
    if kept is not None:
        words = c.text(f"impression.{held}")
        lines.append(_body(c.text("second.before", reading=words, at=local_time(kept.at_utc, c.now))))
    buttons = tuple(
        c.button(f"second_reading:{word}", f"button.second.{word}", primary=True, active=word == held)
        for word in IMPRESSIONS
    )
    return tuple(lines), (buttons, (None, None, c.button("back", "button.back"))), ""


def _pin(c: _Case) -> _Sheet:
    def digits(some: str) -> tuple[SheetButton, ...]:
        return tuple(SheetButton(f"pin:{digit}", digit, primary=True) for digit in some)

    ask = "pin.wrong" if c.desk.wrong_pin else "pin.badge" if c.site.badges else "pin.glass"
    lines = (_large("• " * len(c.desk.pin) or "–"), _body(c.text(ask)))
    unlock = c.button("pin:unlock", "button.unlock", primary=True)
    rows: _Rows = (
        (*digits("12345"), c.button("pin:delete", "button.delete"), unlock),
        (*digits("67890"), c.button("pin:break_glass", "button.break_glass"), c.button("back", "button.back")),
    )
    return lines, rows, ""


_SHEETS: dict[Sheet, Callable[[_Case], _Sheet]] = {
    Sheet.MENU: _menu,
    Sheet.ABOUT: _about,
    Sheet.CONFIRM: _confirm,
    Sheet.LKW: _lkw,
    Sheet.LKW_READ_BACK: _lkw_read_back,
    Sheet.LKW_AFTER_RESULT: _lkw_after_result,
    Sheet.NOTIFY: _notify,
    Sheet.HAND_OVER: _hand_over,
    Sheet.SECOND_READING: _second_reading,
    Sheet.SERIES: _series,
    Sheet.ROLE: _role,
    Sheet.NEW_CASE: _new_case,
    Sheet.PIN: _pin,
}

_OF_A_CASE = frozenset(Sheet) - {
    Sheet.NONE, Sheet.MENU, Sheet.ABOUT, Sheet.ROLE, Sheet.PIN, Sheet.LKW, Sheet.LKW_READ_BACK,
}  # fmt: skip
