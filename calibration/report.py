"""The report of a calibration: one picture and one page for people; the record beside it is for programs."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edge_app.core.types import CLASSES
from export.gate import GoldenScores
from training.data.atomic import replacing

__all__ = ["flips_per_class", "write_report"]

SHOWN_LAYERS = 40


def write_report(
    folder: Path, network: str, record: dict[str, Any], reference: GoldenScores, candidate: GoldenScores | None
) -> None:
    """Write ``<network>.report.html`` and ``.png``, and add the flips per class to `record`.

    Parameters
    ----------
    candidate
        Answers of the new network on the golden set; None if it had none (NaN or infinity).
    """
    if candidate is not None:
        record["flips"] = {
            "slices": flips_per_class(reference.slice_calls(), candidate.slice_calls()),
            "patients": flips_per_class(reference.patient_calls(), candidate.patient_calls()),
        }
        shifts = np.abs(reference.slices - candidate.slices).max(axis=1)
        counts, edges = np.histogram(shifts, bins=np.concatenate([[0.0], np.logspace(-6, 0, 25)]))
        record["probability_shift"] = {"edges": edges.tolist(), "slices": counts.tolist()}
    picture = _picture(record)
    stem = network.removesuffix(".onnx")
    with replacing(folder / f"{stem}.report.png") as file:
        file.write(picture)
    with replacing(folder / f"{stem}.report.html") as file:
        file.write(_page(network, record, picture).encode())


def flips_per_class(was: NDArray[np.bool_], now: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """Return, for each class that FP32 says, how often and to what the new network changed it.

    Parameters
    ----------
    was, now
        (N, 3), which classes FP32 and the new network say (`edge_app.inference.predict.calls`).
    """
    gone = was & ~now
    return {
        name: {
            "answers": int(was[:, index].sum()),
            "flips": int(gone[:, index].sum()),
            **{f"to_{other}": int((gone[:, index] & now[:, o]).sum()) for o, other in enumerate(CLASSES) if o != index},
        }
        for index, name in enumerate(CLASSES)
    }


def _picture(record: dict[str, Any]) -> bytes:
    effects = record.get("int8", {}).get("layer_effects", [])
    figure = Figure(figsize=(11, 4 if not effects else 9), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(2, 1, height_ratios=(1, 2)) if effects else [figure.subplots()]
    axes = rows[0]
    shift = record.get("probability_shift")
    if shift:
        edges = np.asarray(shift["edges"])
        axes.bar(range(len(shift["slices"])), shift["slices"], width=0.9, color="#2c6e9b")
        axes.set_xticks(range(0, len(edges) - 1, 4), [f"{edges[i + 1]:.0e}" for i in range(0, len(edges) - 1, 4)])
        axes.set(xlabel="largest change of a probability, at most", ylabel="slices of the golden set")
    else:
        axes.text(0.5, 0.5, "the network answered with NaN or infinity", ha="center")
    axes.set_title(f"How far {record['precision'].upper()} moves the answers of FP32")
    if effects:
        worst = sorted(effects, key=lambda e: e["logit_error"], reverse=True)[:SHOWN_LAYERS][::-1]
        out = set(record["int8"]["layers_left_out"])
        colours = ["#b3261e" if e["layer"] in out else "#2c6e9b" for e in worst]
        rows[1].barh([f"{e['layer']} ({e['kind']})" for e in worst], [e["logit_error"] for e in worst], color=colours)
        rows[1].tick_params(axis="y", labelsize=7)
        rows[1].set(
            title=f"Layers quantised alone, worst {len(worst)} of {len(effects)} (red: left out)",
            xlabel="relative error of the logits",
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _page(network: str, record: dict[str, Any], picture: bytes) -> str:
    gate = record["gate"]
    verdict = "accepted" if gate["passed"] else "REFUSED: " + "; ".join(gate["failures"])
    sizes, times = record["bytes"], record["latency"]
    parts = [
        f"<h1>{escape(network)}: {escape(verdict)}</h1>",
        f"<p>Calibrated on {len(record['slices'])} slices of {record['patients']} patients, for {record['target']}. "
        f"Judged on the golden set {record['golden_sha256'][:16]} against FP32 {record['fp32_sha256'][:16]}.</p>",
        _table(
            ("", "MB", "one slice, ms (median)", "95 % of the calls"),
            [
                (name, f"{sizes[name] / 1e6:.1f}", f"{times[name]['p50_ms']:.1f}", f"{times[name]['p95_ms']:.1f}")
                for name in sizes
            ],
        ),
        f'<img alt="changes of probability and errors of layers" '
        f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">',
    ]
    for level, table in record.get("flips", {}).items():
        rows = [(name, *(str(value) for value in row.values())) for name, row in table.items()]
        parts.append(f"<h2>Decisions that changed: {level}</h2>")
        parts.append(_table(("FP32 said", "answers", "changed", "to another", "to the third"), rows))
    parts.append("<h2>Accuracy gate</h2>")
    limits = gate["limits"]
    parts.append(
        _table(
            ("measured", "value", "limit"),
            [(name, f"{value:.6g}", f"{limits.get(name, '')}") for name, value in gate["measured"].items()],
        )
    )
    if int8 := record.get("int8"):
        parts.append(
            f"<p>Calibrator {int8['calibrator']}; {len(int8['layers_quantised'])} layers in INT8, left out: "
            f"{escape(', '.join(int8['layers_left_out']) or 'none')}.</p>"
        )
    style = "body{font:16px/1.4 sans-serif;max-width:70em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}"
    style += "img{max-width:100%}table{border-collapse:collapse}tr{border-top:1px solid #ddd}"
    head = f'<meta charset="utf-8"><title>{escape(network)}</title><style>{style}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
