"""What lies over the centre of the screen when the crew does something: lines and rows of buttons. No Qt.

Every action of `edge_app.ui.desk` has its button here or in `edge_app.ui.actions`; all of them work by touch, keyboard
and dial, because they are nothing but buttons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from edge_app.core.clock import utc_now
from edge_app.core.config import ScreenSettings
from edge_app.ui import formats
from edge_app.ui.about import about_lines
from edge_app.ui.desk import ROLES, Desk, Sheet, is_active
from edge_app.ui.facts import Moment
from edge_app.ui.hand_over import answer_words, card, local_time, verdict_words
from edge_app.ui.identity import display_name
from edge_app.ui.result_texts import evidence
from edge_app.ui.rules import state_of
from edge_app.ui.screen_model import LineKind, SheetButton, SheetLine, SheetModel
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.strings import text

__all__ = ["NO_ANSWER_S", "sheet_model"]

NO_ANSWER_S = 120.0
"""Without an acknowledgment for so long, the crew is told to call (R77)."""

_Rows = tuple[tuple[SheetButton | None, ...], ...]


@dataclass(frozen=True, slots=True)
class _Case:
    snapshot: Snapshot
    study: StudyView
    """An empty one where there is none; `has_study` tells."""
    has_study: bool
    desk: Desk
    now: Moment
    site: ScreenSettings

    def text(self, key: str, **values: object) -> str:
        return text(key, self.desk.language, **values)

    def button(self, action: str, key: str, *, primary: bool = False, active: bool = False) -> SheetButton:
        return SheetButton(action, self.text(key), primary=primary, active=active)


def sheet_model(
    snapshot: Snapshot, study: StudyView | None, desk: Desk, now: Moment, site: ScreenSettings
) -> SheetModel | None:
    """Return the open sheet, or None."""
    make = _SHEETS.get(desk.sheet)
    if make is None or (desk.sheet in _OF_A_CASE and study is None):
        return None
    lines, rows, qr = make(_Case(snapshot, study or StudyView(""), study is not None, desk, now, site))
    return SheetModel(desk.sheet.value, text(f"sheet.{desk.sheet.value}", desk.language), lines, rows, qr)


_Sheet = tuple[tuple[SheetLine, ...], _Rows, str]


def _large(words: str) -> SheetLine:
    return SheetLine(LineKind.LARGE, words)


def _body(words: str) -> SheetLine:
    return SheetLine(LineKind.BODY, words)


def _menu(c: _Case) -> _Sheet:
    role = SheetButton("open:role", c.text("button.role", role=c.text(f"role.{c.desk.role}")))
    rows: _Rows = (
        (
            c.button("open:about", "button.about"),
            c.button("full", "button.full"),
            c.button("zoom", "button.zoom"),
            c.button("preset:4", "button.narrow"),
            c.button("open:lkw", "button.lkw") if c.has_study else None,
        ),
        (
            role,
            c.button("curtain", "button.curtain", active=c.desk.curtain),
            c.button("theme", "button.theme"),
            c.button("language", "button.language"),
            c.button("open:new_case", "button.new_case") if c.has_study else None,
        ),
        (
            c.button("clean", "button.clean"),
            None if is_active(c.study if c.has_study else None, c.now) else c.button("lock", "button.lock"),
            None,
            None,
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
    birth = formats.date_text(c.study.patient.get("birth_date"), c.desk.language)
    lines = [_body(c.text("confirm.ask")), _large(display_name(c.study, c.desk.language))]
    if birth:
        lines.append(_large(c.text("confirm.born", birth=birth)))
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
    at = f"{formats.date_text(draft.strftime('%Y%m%d'), c.desk.language)} {draft:%H:%M}"
    since = formats.elapsed((c.now.local - draft).total_seconds())
    return _large(c.text("lkw.read", at=at)), _large(c.text("lkw.ago", since=since))


def _lkw_read_back(c: _Case) -> _Sheet:
    old = c.study.crew.get("lkw")
    lines = list(_last_known_well(c))
    if old is not None:
        before = old.body.get("at")
        at = str(before)[:16].replace("T", " ") if before else c.text("lkw.unknown")
        lines.append(_body(c.text("lkw.old", at=at)))
    rows: _Rows = ((c.button("lkw:keep", "button.keep", primary=True), None, c.button("open:lkw", "button.change")),)
    return tuple(lines), rows, ""


def _notify(c: _Case) -> _Sheet:
    whole = card(c.snapshot, c.study, c.desk.language, c.now, hidden=c.desk.curtain)
    recipient = c.site.centre or c.text("centre")
    lines = [_large(c.text("notify.to", recipient=recipient))]
    lines += [SheetLine(LineKind.PAIR, words, label) for label, words in whole.lines[:4]]
    sent, answer = c.study.crew.get("notify"), answer_words(c.study, c.desk.language, c.now)
    if sent is None:
        rows: _Rows = ((c.button("notify:send", "button.send", primary=True), None, c.button("back", "button.back")),)
        return tuple(lines), rows, ""
    words = c.text("notify.sent", at=local_time(sent.at_utc, c.now))
    waiting = c.text("notify.call" if _age_s(sent.at_utc) > NO_ANSWER_S else "notify.waiting")
    lines.append(_large(f"{words} · {answer or waiting}"))
    rows = (
        (
            c.button("notify:answered", "button.acknowledged", primary=True),
            c.button("notify:send", "button.send"),
            c.button("back", "button.back"),
        ),
    )
    return tuple(lines), rows, ""


def _age_s(at_utc: str) -> float:
    return (utc_now() - datetime.fromisoformat(at_utc.replace("Z", "+00:00"))).total_seconds()


def _hand_over(c: _Case) -> _Sheet:
    whole = card(c.snapshot, c.study, c.desk.language, c.now, hidden=c.desk.curtain)
    saved = c.study.crew.get("hand_over")
    lines = [SheetLine(LineKind.PAIR, words, label) for label, words in whole.lines]
    middle = SheetButton("", c.text("card.saved", at=local_time(saved.at_utc, c.now)), enabled=False) if saved else None
    row = (c.button("save", "button.save", primary=True), middle, c.button("page", "button.more"))
    rows: _Rows = ((*row, c.button("back", "button.back")),)
    return tuple(lines), rows, whole.qr


def _role(c: _Case) -> _Sheet:
    buttons = tuple(c.button(f"role:{role}", f"role.{role}", active=role == c.desk.role) for role in ROLES)
    rows: _Rows = (buttons[:3], (*buttons[3:], c.button("back", "button.back")))
    return (_body(c.text("menu.role")),), rows, ""


def _new_case(c: _Case) -> _Sheet:
    state = state_of(c.snapshot, c.study, c.now)
    name = display_name(c.study, c.desk.language, hidden=c.desk.curtain)
    lines = (_large(name), _body(verdict_words(state, c.desk.language)), _body(c.text("new_case.text")))
    return lines, ((c.button("new_case", "button.end_case"), None, c.button("back", "button.back", primary=True)),), ""


def _pin(c: _Case) -> _Sheet:
    def digits(some: str) -> tuple[SheetButton, ...]:
        return tuple(SheetButton(f"pin:{digit}", digit, primary=True) for digit in some)

    lines = (_large("• " * len(c.desk.pin) or "–"), _body(c.text("pin.wrong" if c.desk.wrong_pin else "pin.glass")))
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
    Sheet.NOTIFY: _notify,
    Sheet.HAND_OVER: _hand_over,
    Sheet.ROLE: _role,
    Sheet.NEW_CASE: _new_case,
    Sheet.PIN: _pin,
}

_OF_A_CASE = frozenset({Sheet.CONFIRM, Sheet.LKW, Sheet.LKW_READ_BACK, Sheet.NOTIFY, Sheet.HAND_OVER, Sheet.NEW_CASE})
