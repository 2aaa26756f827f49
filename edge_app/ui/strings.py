"""Every word on the screen, in English and German. No Qt.

R02: the vocabulary of results is closed, and some words appear in no language (`BANNED`); a test reads every string.
R40: a state says what happened, what still works and what to do next in at most 20 words.
"""

from __future__ import annotations

from edge_app.core.reasons import TEXTS as REASON_TEXTS
from edge_app.ui.crew_strings import CREW_STRINGS
from edge_app.ui.series_strings import SERIES_STRINGS

__all__ = ["BANNED", "LANGUAGES", "STRINGS", "reason_text", "text"]

LANGUAGES = ("en", "de")
_COLUMN = {language: column for column, language in enumerate(LANGUAGES)}

BANNED: dict[str, tuple[str, ...]] = {
    "en": ("negative", "normal", "clear", "safe", "rule out", "ruled out", "rules out", "diagnosis", "treat", "lyse",
           "lysis", "tpa"),
    "de": ("negativ", "normal", "unauffällig", "sicher", "ausgeschlossen", "diagnose", "behandeln", "behandlung",
           "lyse", "lysieren"),
}  # fmt: skip
"""Words that no string holds, except `disclaimer`, which is R01's own sentence."""

STRINGS: dict[str, tuple[str, str]] = {
    **CREW_STRINGS,
    **SERIES_STRINGS,
    # Persistent texts
    "disclaimer": (
        "AI triage aid - not a diagnosis. A clinician must read the images.",
        "KI-Triagehilfe - keine Diagnose. Die Bilder müssen ärztlich befundet werden.",
    ),
    "not_diagnostic_display": ("not a diagnostic display", "kein Befundungsmonitor"),
    "synthetic_short": ("SYNTHETIC MODEL", "SYNTHETISCH"),
    "synthetic": ("SYNTHETIC MODEL - NOT FOR PATIENTS", "SYNTHETISCH - NICHT FÜR PATIENTEN"),
    "unvalidated": ("UNVALIDATED", "NICHT VALIDIERT"),
    "unvalidated_scanner": ("UNVALIDATED SCANNER", "SCANNER NICHT VALIDIERT"),
    "unvalidated_both": ("FINDING AND SCANNER UNVALIDATED", "BEFUND UND SCANNER NICHT VALIDIERT"),
    "previous": ("PREVIOUS CASE - not the current patient", "FRÜHERER FALL - nicht der aktuelle Patient"),
    # Headlines: line breaks are part of the design. "NO" never stands apart from "HAEMORRHAGE".
    "head.starting": ("STARTING", "START"),
    "head.ready": ("READY", "BEREIT"),
    "head.receiving": ("RECEIVING", "EMPFANG"),
    "head.stalled": ("TRANSFER\nSTOPPED", "ÜBERTRAGUNG\nGESTOPPT"),
    "head.analysing": ("ANALYSING", "ANALYSE"),
    "head.checking": ("CHECKING", "PRÜFUNG"),
    "head.read_first": ("READ THE\nIMAGES FIRST", "ERST BILDER\nANSEHEN"),
    "head.haemorrhage": ("HAEMORRHAGE\nSUSPECTED", "BLUTUNGS-\nVERDACHT"),
    "head.ischaemic": ("ISCHAEMIC SIGNS\nSUSPECTED", "ISCHÄMIE-\nVERDACHT"),
    "head.none_detected": ("NO HAEMORRHAGE\nDETECTED", "KEINE BLUTUNG\nERKANNT"),
    "head.indeterminate": ("INDETERMINATE", "UNKLAR"),
    "head.no_ai_result": ("NO AI RESULT", "KEIN KI-ERGEBNIS"),
    "head.failed": ("AI FAILED", "KI-FEHLER"),
    "head.ai_stopped": ("AI STOPPED", "KI GESTOPPT"),
    "head.receiver_stopped": ("RECEIVER\nSTOPPED", "EMPFÄNGER\nGESTOPPT"),
    "head.model_missing": ("AI MODEL\nMISSING", "KI-MODELL\nFEHLT"),
    "head.disk_full": ("DISK FULL", "SPEICHER VOLL"),
    "head.disk_low": ("DISK LOW", "WENIG SPEICHER"),
    "head.scanner_silent": ("SCANNER\nSILENT", "SCANNER\nSTUMM"),
    "head.clock_bad": ("CHECK CLOCK", "UHR PRÜFEN"),
    "head.degraded": ("READY, SLOW AI", "BEREIT, KI LANGSAM"),
    "head.locked": ("LOCKED", "GESPERRT"),
    "head.self_test": ("SELF-TEST", "SELBSTTEST"),
    "head.not_fit": ("NOT READY", "NICHT BEREIT"),
    # Lead: the sentence under the headline
    "lead.starting": ("Please wait.", "Bitte warten."),
    "lead.ready": ("Send head CT to {aet}", "Kopf-CT senden an {aet}"),
    "lead.receiving": ("{images} images received", "{images} Bilder empfangen"),
    "lead.receiving_one": ("1 image received", "1 Bild empfangen"),
    "lead.receiving_expected": (
        "{images} images received, {expected} expected",
        "{images} Bilder, {expected} erwartet",
    ),
    "lead.stalled": ("Stopped at {images} images.", "Stopp bei {images} Bildern."),
    "lead.analysing": ("{analysed} of {images} slices analysed", "{analysed} von {images} Schichten analysiert"),
    "lead.checking": ("Checking {images} slices", "{images} Schichten werden geprüft"),
    "lead.read_first": ("Do you see blood?", "Sehen Sie Blut?"),
    "lead.changed": ("Images changed - re-analysing", "Neue Bilder - neue Analyse"),
    "lead.haemorrhage": ("Read the images now.", "Bilder jetzt ansehen."),
    "lead.ischaemic": ("Read the images now.", "Bilder jetzt ansehen."),
    "lead.none_detected": (
        "does not exclude haemorrhage or stroke",
        "schließt Blutung oder Schlaganfall nicht aus",
    ),
    "lead.indeterminate": ("Read the images now.", "Bilder jetzt ansehen."),
    "lead.no_ai_result": ("{reason}", "{reason}"),
    "lead.failed": ("{reason}", "{reason}"),
    "lead.ai_stopped": ("Images still arrive.", "Bilder kommen weiter an."),
    "lead.receiver_stopped": ("No images can arrive.", "Kein Bildempfang möglich."),
    "lead.model_missing": ("Images still arrive.", "Bilder kommen weiter an."),
    "lead.disk_full": ("New images are refused.", "Neue Bilder abgewiesen."),
    "lead.disk_low": ("Send head CT to {aet}", "Kopf-CT senden an {aet}"),
    "lead.no_images": ("No images for {waited}.", "Seit {waited} keine Bilder."),
    "lead.scanner_silent": ("Nothing heard for {silent}.", "Seit {silent} nichts gehört."),
    "lead.clock_bad": ("Date or time is wrong.", "Datum oder Zeit ist falsch."),
    "lead.degraded": ("Send head CT to {aet}", "Kopf-CT senden an {aet}"),
    "lead.self_test": ("A test image set is on its way.", "Testbilder sind unterwegs."),
    "lead.not_fit": ("{unfit}", "{unfit}"),
    "lead.locked": ("Tap UNLOCK.", "ENTSPERREN tippen."),
    # Note: what to do next
    "note.starting": ("Receiver and AI are starting.", "Empfänger und KI werden gestartet."),
    "note.ready": ("{host}:{port}", "{host}:{port}"),
    "note.receiving": ("Images can be viewed at once.", "Bilder sind sofort sichtbar."),
    "note.stalled": ("Resend from scanner. Images can be viewed.", "Vom Scanner erneut senden. Bilder sind sichtbar."),
    "note.analysing": ("Images can be viewed now.", "Bilder sind sofort sichtbar."),
    "note.checking": ("Images can be viewed now.", "Bilder sind sofort sichtbar."),
    "note.read_first": ("Answer below. The AI result follows.", "Unten antworten. Das KI-Ergebnis folgt."),
    "note.haemorrhage": ("", ""),
    "note.ischaemic": ("", ""),
    "note.none_detected": ("", ""),
    "note.indeterminate": ("", ""),
    "note.no_ai_result": ("Images are stored. Read them directly.", "Bilder sind gespeichert. Direkt ansehen."),
    "note.failed": ("Images are stored. Read them directly.", "Bilder sind gespeichert. Direkt ansehen."),
    "note.ai_stopped": ("Read the images directly. Restart the system.", "Bilder direkt ansehen. System neu starten."),
    "note.receiver_stopped": ("Restart the system, then resend.", "System neu starten, dann erneut senden."),
    "note.refused": ("Settings refused: {what}", "Einstellungen abgelehnt: {what}"),
    "note.model_missing": ("Read the images directly. Call service.", "Bilder direkt ansehen. Service rufen."),
    "note.disk_full": ("Free space, then resend from scanner.", "Platz schaffen, dann erneut senden."),
    "note.disk_low": ("Room for a few more cases. Call service.", "Platz für wenige Fälle. Service rufen."),
    "note.scanner_silent": (
        "Images can still arrive. Check the network cable.",
        "Empfang ist bereit. Netzwerkkabel prüfen.",
    ),
    "note.clock_bad": ("Images and AI work. Set the time.", "Bilder und KI arbeiten. Zeit stellen."),
    "note.degraded": ("Results take longer. Images arrive as usual.", "Ergebnisse dauern länger. Bilder wie gewohnt."),
    "note.self_test": ("Images can arrive at any time.", "Bilder können jederzeit kommen."),
    "note.not_fit": ("{unfit_note}", "{unfit_note}"),
    "note.locked": ("Images still arrive.", "Bilder kommen weiter an."),
    # What the watch found (edge_app.core.findings)
    "unfit.F-01": ("The self-test failed.", "Der Selbsttest ist fehlgeschlagen."),
    "unfit.F-03": ("The AI model is damaged.", "Das KI-Modell ist beschädigt."),
    "unfit.F-04": ("The AI engine is damaged.", "Die KI-Engine ist beschädigt."),
    "unfit.F-06": ("Date or time is wrong.", "Datum oder Zeit ist falsch."),
    "unfit.F-07": ("A key or certificate is missing.", "Ein Schlüssel oder Zertifikat fehlt."),
    "unfit.F-08": ("Part of the system has stopped.", "Ein Teil des Systems steht."),
    "unfit.F-09": ("The computer is too hot.", "Der Rechner ist zu heiß."),
    "unfit.F-10": ("The disk is failing.", "Der Datenträger ist defekt."),
    "unfit.F-11": ("Memory is low.", "Der Arbeitsspeicher ist knapp."),
    "unfit.F-12": ("The AI answers have drifted.", "Die KI-Antworten weichen ab."),
    "unfit.other": ("Something is wrong.", "Etwas stimmt nicht."),
    "unfit_note.F-01": (
        "Images still arrive. Do not rely on the AI. Restart.",
        "Bilder kommen an. KI nicht vertrauen. Neu starten.",
    ),
    "unfit_note.F-03": (
        "Images still arrive. Read them directly. Call service.",
        "Bilder kommen an. Direkt ansehen. Service rufen.",
    ),
    "unfit_note.F-04": (
        "Images still arrive. The AI may be slow. Call service.",
        "Bilder kommen an. KI evtl. langsam. Service rufen.",
    ),
    "unfit_note.F-06": ("Images and AI work. Set the time.", "Bilder und KI arbeiten. Zeit stellen."),
    "unfit_note.F-07": (
        "Images may not leave the vehicle. Call service.",
        "Bilder gehen evtl. nicht hinaus. Service rufen.",
    ),
    "unfit_note.F-08": (
        "It restarts by itself. Otherwise restart the system.",
        "Startet von selbst neu. Sonst System neu starten.",
    ),
    "unfit_note.F-09": (
        "Images and AI work, but slower. Check the fan.",
        "Bilder und KI arbeiten, aber langsamer. Lüfter prüfen.",
    ),
    "unfit_note.F-10": ("Images still arrive. Call service now.", "Bilder kommen noch an. Jetzt Service rufen."),
    "unfit_note.F-11": ("Images still arrive. Restart the system.", "Bilder kommen an. System neu starten."),
    "unfit_note.F-12": ("Images still arrive. Do not rely on the AI.", "Bilder kommen an. KI nicht vertrauen."),
    "unfit_note.other": ("Images still arrive. Call service.", "Bilder kommen an. Service rufen."),
    # Scores and findings
    "score.haemorrhage": ("score {score} · {band} band", "Score {score} · Bereich {band}"),
    "score.ischaemic": ("score {score} · {band} band", "Score {score} · Bereich {band}"),
    "score.none_detected": ("score {score} · {band} band", "Score {score} · Bereich {band}"),
    "score.indeterminate": ("score {score} · {band} band", "Score {score} · Bereich {band}"),
    "band.high": ("high", "hoch"),
    "band.middle": ("middle", "mittel"),
    "band.low": ("low", "niedrig"),
    "ischaemia_too": ("+ ischaemic signs suspected", "+ Ischämiezeichen vermutet"),
    "ischaemia_too_score": (
        "+ ischaemic signs suspected · score {score}",
        "+ Ischämiezeichen vermutet · Score {score}",
    ),
    "ischaemia_off": ("ischaemic signs: not assessed", "Ischämiezeichen: nicht beurteilt"),
    "finding.haemorrhage": ("haemorrhage", "Blutung"),
    "finding.ischaemic": ("ischaemic signs", "Ischämiezeichen"),
    "revised": ("REVISED {revision}", "REVISION {revision}"),
    "coverage": ("coverage {covered} mm ({needed} mm needed)", "Abdeckung {covered} mm ({needed} mm nötig)"),
    # Patient band and clocks
    "awaited": ("Patient on board", "Patient an Bord"),
    "no_patient": ("No patient", "Kein Patient"),
    "name_unknown": ("UNKNOWN · {tag}", "UNBEKANNT · {tag}"),
    "id": ("ID {id}", "ID {id}"),
    "id.corrected": ("ID {id} CORRECTED ({images})", "ID {id} KORRIGIERT ({images})"),
    "accession": ("Acc {accession}", "Auftrag {accession}"),
    "clock.scan": ("SCAN", "SCAN"),
    "clock.last_image": ("IMAGE", "BILD"),
    "clock.result": ("RESULT", "ERGEBNIS"),
    # Viewer
    "no_images": ("no images yet", "noch keine Bilder"),
    "loading": ("loading image", "Bild wird geladen"),
    "cannot_show": ("image cannot be shown", "Bild nicht darstellbar"),
    "key_slices": ("KEY\nSLICES", "SCHLÜS-\nSELBILD"),
    "preset.brain": ("BRAIN", "HIRN"),
    "preset.stroke": ("STROKE", "INFARKT"),
    "preset.subdural": ("SUBDURAL", "SUBDURAL"),
    "preset.bone": ("BONE", "KNOCHEN"),
    "head_end": ("HEAD", "KOPF"),
    "foot_end": ("FOOT", "FUSS"),
    # Information line and footer
    "series": ("Series {number}", "Serie {number}"),
    "images": ("{count} images", "{count} Bilder"),
    "model": ("Model {name} {version}", "Modell {name} {version}"),
    "footer.ct_ok": ("CT ok", "CT ok"),
    "footer.ct_off": ("CT OFF", "CT AUS"),
    "footer.ai_ok": ("AI {version}", "KI {version}"),
    "footer.ai_off": ("AI OFF", "KI AUS"),
    "footer.waiting": ("...", "..."),
    "footer.disk": ("DISK {percent}", "DISK {percent}"),
    "footer.disk_low": ("DISK LOW", "DISK KNAPP"),
    # Actions
    "footer.sending_off": ("SENDING STOPPED", "VERSAND GESTOPPT"),
    "footer.muted": ("MUTED {left}", "STUMM {left}"),
    # What has stopped beside a result that stays
    "alert.receive": ("RECEIVER STOPPED: restart, then resend.", "EMPFÄNGER GESTOPPT: neu starten, neu senden."),
    "alert.work": ("AI STOPPED: restart the system.", "KI GESTOPPT: System neu starten."),
    "alert.deliver": ("SENDING STOPPED: call the centre.", "VERSAND GESTOPPT: Zentrum anrufen."),
    "action.cases": ("CASES", "FÄLLE"),
    "action.current": ("CURRENT", "AKTUELL"),
    "action.close": ("CLOSE", "SCHLIESSEN"),
    "action.newer": ("NEWER", "NEUERE"),
    "action.older": ("OLDER", "ÄLTERE"),
    "cases.empty": ("No cases yet", "Noch keine Fälle"),
}

_REASONS_DE: dict[str, str] = {
    "Q-01": "Kein Kopf-CT mit Hirn",
    "Q-02": "Schichten fehlen",
    "Q-03": "Knochen- oder scharfer Kernel",
    "Q-04": "Patient unter 18",
    "Q-05": "Zwei Patienten in einer Studie",
    "Q-06": "Bilder verlustbehaftet komprimiert",
    "Q-07": "Verdacht auf Kontrastmittel",
    "Q-08": "Keine axiale Serie",
    "Q-09": "Kopf nicht ganz erfasst",
    "Q-10": "Zu wenige Schichten",
    "Q-11": "Mehrere Schichten an einer Position",
    "Q-12": "Pixelabstand oder Matrix unpassend",
    "Q-13": "CT-Werte nicht plausibel",
    "Q-14": "Keine auswertbare CT-Serie",
    "Q-15": "Bilder nicht lesbar",
    "Q-16": "Bildqualität",
    "Q-17": "Bild doppelt mit anderen Pixeln",
    "Q-18": "Schichten zu dick",
    "Q-19": "Score zwischen den Schwellen",
    "Q-20": "Bilder anders als im Training",
    "Q-21": "Scanner nicht validiert",
    "E-101": "KI-Modell fehlt oder beschädigt",
    "E-102": "Zeitüberschreitung der KI",
    "E-104": "Analyse zweimal fehlgeschlagen",
    "E-203": "Übertragung unvollständig",
}


def text(key: str, language: str, **values: object) -> str:
    """Return a string with its values filled in.

    Raises
    ------
    KeyError
        If the key, the language or a value is missing.
    """
    return STRINGS[key][_COLUMN[language]].format(**values)


def reason_text(code: str, language: str) -> str:
    """Return the words for a reason's code, "" for an unknown code (the code itself is always shown)."""
    return (_REASONS_DE if language == "de" else REASON_TEXTS).get(code, "")
