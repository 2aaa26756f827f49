"""Torch to ONNX, and the proof that nothing was lost on the way.

Opset 20 is what every supported TensorRT reads; the exporter may settle for another one in silence, so it is read
back. A sequence length may be baked in just as silently, so answers are compared at 1, 2, 40, 79 and 80 slices, with
padding and in batches. Whatever differs by more than the tolerance fails the export.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from edge_app.core.errors import ExportError
from edge_app.core.types import FloatArray

__all__ = ["LENGTHS", "OPSET", "TOLERANCE", "ExportCheck", "export_image_model", "export_patient_model"]

OPSET = 20
TOLERANCE = 1e-4
"""Largest difference allowed between torch and ONNX Runtime in any logit, feature or weight."""

LENGTHS = (1, 2, 40, 79, 80)
"""Numbers of slices compared; the last is the most the patient network takes."""


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """A network in ONNX, with the largest difference to torch that was seen, and over how many calls."""

    content: bytes
    max_difference: float
    calls: int


def export_image_model(model: nn.Module, slices: FloatArray) -> ExportCheck:
    """Export an image network and compare it with torch on prepared slices.

    Parameters
    ----------
    model
        `training.image_model.ImageModel` or a module with the same inputs and outputs.
    slices
        (N, 3, 224, 224) float32 in [0, 1], at least one, as the vehicle prepares them.

    Raises
    ------
    ExportError
        If the exported network is not valid, not dynamic, or answers otherwise than torch.
    """
    outputs = ("features", "logits", "saliency")
    axes = {name: {0: "N"} for name in ("image", *outputs)}
    content = _export(model, (torch.from_numpy(slices[:2].copy()),), ("image",), outputs, axes)
    batches = [{"image": part} for part in (slices[:1], slices[:3], *np.array_split(slices, max(1, len(slices) // 16)))]
    return _compare(model, content, outputs, batches)


def export_patient_model(model: nn.Module, features: int, *, seed: int = 2023) -> ExportCheck:
    """Export a patient network and compare it with torch at every length of `LENGTHS`, alone and padded in a batch.

    Parameters
    ----------
    model
        `training.patient_model.PatientModel` or a module with the same inputs and outputs.
    features
        F + 3, the length of a slice's features and logits together.

    Raises
    ------
    ExportError
        If the exported network is not valid, not dynamic, or answers otherwise than torch.
    """
    inputs, outputs = ("features", "position_mm", "mask"), ("logits", "attention", "distance")
    axes = {name: {0: "B", 1: "T"} for name in (*inputs, "attention")}
    axes |= {name: {0: "B"} for name in ("logits", "distance")}
    rng = np.random.default_rng(seed)
    example = tuple(torch.from_numpy(value) for value in _sequences(rng, features, (7, 5)).values())
    content = _export(model, example, inputs, outputs, axes)
    batches = [_sequences(rng, features, (length,)) for length in LENGTHS]
    batches += [_sequences(rng, features, (length, max(1, length // 2), 1)) for length in LENGTHS]
    return _compare(model, content, outputs, batches)


def _export(
    model: nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    axes: dict[str, dict[int, str]],
) -> bytes:
    model = model.eval().to(memory_format=torch.contiguous_format)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is the one that keeps both B and T of a GRU dynamic; what it warns of is compared below.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            example,
            buffer,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    network = onnx.shape_inference.infer_shapes(onnx.load_from_string(buffer.getvalue()), strict_mode=True)
    onnx.checker.check_model(network, full_check=True)
    opsets = {entry.domain: entry.version for entry in network.opset_import}
    if opsets != {"": OPSET}:
        raise ExportError(f"the exporter wrote opsets {opsets}, not {OPSET}", remedy="Use another version of torch.")
    for value in (*network.graph.input, *network.graph.output):
        for axis, name in axes[value.name].items():
            if value.type.tensor_type.shape.dim[axis].dim_param != name:
                raise ExportError(
                    f"axis {axis} of '{value.name}' was exported with a fixed size",
                    remedy="Look for a Python number taken from a shape in the network's forward.",
                )
    return bytes(network.SerializeToString())


def _compare(
    model: nn.Module, content: bytes, outputs: tuple[str, ...], batches: list[dict[str, FloatArray]]
) -> ExportCheck:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in batches:
        with torch.no_grad():
            wanted = model(*(torch.from_numpy(np.ascontiguousarray(value)) for value in batch.values()))
        for name, value, reference in zip(outputs, session.run(list(outputs), batch), wanted, strict=True):
            expected = reference.numpy()
            if value.shape != expected.shape or not np.isfinite(value).all():
                raise ExportError(
                    f"output '{name}' is {value.shape} or not finite, torch gives {expected.shape}",
                    remedy="Compare the two networks layer by layer.",
                )
            worst = max(worst, float(np.abs(value - expected).max(initial=0.0)))
    if worst > TOLERANCE:
        raise ExportError(
            f"torch and ONNX Runtime differ by {worst:.2e}, more than {TOLERANCE:.0e}",
            remedy="Compare the two networks layer by layer.",
        )
    return ExportCheck(content, worst, len(batches))


def _sequences(rng: np.random.Generator, features: int, lengths: tuple[int, ...]) -> dict[str, FloatArray]:
    """Return a padded batch with noise in its padding, which must not be read."""
    longest = max(lengths)
    mask: NDArray[np.float32] = (np.arange(longest)[None] < np.asarray(lengths)[:, None]).astype(np.float32)
    steps = rng.uniform(1.0, 6.0, (len(lengths), longest)).astype(np.float32)
    return {
        "features": rng.standard_normal((len(lengths), longest, features), dtype=np.float32),
        "position_mm": (np.cumsum(steps, axis=1) - steps[:, :1]) * mask,
        "mask": mask,
    }
