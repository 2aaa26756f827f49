"""Torch to ONNX, and the proof that nothing was lost on the way.

Opset 20 is what every supported TensorRT reads; the exporter may settle for another one in silence, so it is read
back. A sequence length may be baked in just as silently, so answers are compared at 1, 2, 40, 79 and 80 slices, with
padding and in batches. Whatever differs by more than the tolerance, or decides otherwise, fails the export.

Image networks go through `torch.export`, which keeps LayerNormalization and Gelu as one operation, folds batch
normalisation, and copies no weights. Patient networks go through the tracing exporter, the only one that keeps both
the batch and the sequence of a GRU free.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from edge_app.core.errors import ExportError
from edge_app.core.types import FloatArray
from edge_app.inference.manifest import Labels
from edge_app.inference.predict import calls, class_probabilities
from export.fold import fold_constants
from export.fold_norms import fold_sum_norms
from export.memory import free, frugal
from export.onnx_file import forget_origin, join_weights, write_facts

__all__ = ["LENGTHS", "OPSET", "TOLERANCE", "ExportCheck", "export_image_model", "export_patient_model"]

OPSET = 20
TOLERANCE = 1e-4
"""Largest difference allowed between torch and ONNX Runtime in any logit, feature, weight or map, as a share of the
output's largest value where that is above 1."""

LENGTHS = (1, 2, 40, 79, 80)
"""Numbers of slices compared; the last is the most the patient network takes."""


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """A network in ONNX, and how it was compared with torch.

    `differences` are the largest by output; of the `decisions` compared `flips` changed: none, or it had failed.
    """

    path: Path
    sha256: str
    differences: dict[str, float]
    calls: int
    decisions: int
    flips: int

    @property
    def max_difference(self) -> float:
        """Return the largest difference in any output."""
        return max(self.differences.values())


def export_image_model(
    model: nn.Module,
    slices: FloatArray,
    path: Path,
    facts: Mapping[str, str] | None = None,
    *,
    last_use: bool = False,
) -> ExportCheck:
    """Export an image network and compare it with torch on prepared slices.

    Parameters
    ----------
    model
        `training.image_model.ImageModel`, `training.families.Classifier`, or a module with the same input and outputs.
    slices
        (N, 3, 224, 224) float32 in [0, 1], at least one, as the vehicle prepares them.
    path
        The ONNX file, replaced.
    facts
        What is known of the network, kept in the file.
    last_use
        Nobody uses `model` again: its weights are let go as soon as the file has them, and memory holds a copy less
        while the two are compared. All its tensors are on the device "meta" afterwards.

    Raises
    ------
    ExportError
        If the exported network is not valid, not dynamic, or answers otherwise than torch.
    """
    outputs = ("features", "logits", "saliency")
    axes = {name: {0: "N"} for name in ("image", *outputs)}
    pairs = torch.from_numpy(np.resize(slices[:2], (2, *slices.shape[1:])).copy())

    def trace(target: Path) -> None:
        with _plain_attention(model):
            program = torch.onnx.export(
                model,
                (pairs,),
                None,
                input_names=["image"],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("N")},),
                opset_version=OPSET,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
        if program is None:
            raise ExportError("torch exported nothing", remedy="Use another version of torch.")
        as_traced = list(program.model.graph.initializers.values())
        program.optimize()
        for value, name in zip(program.model.graph.outputs, outputs, strict=True):  # equal ones were made one
            value.name = name
        program.save(str(target), external_data=True)
        # The exporter's rewriting rules keep the graph that they saw last, and with it all weights: torch's, and those
        # that folding made of them.
        for value in (*as_traced, *program.model.graph.initializers.values()):
            value.const_value = None
        if last_use:
            model.to("meta")

    batches = [slices[:2], *(slices[i : i + 1] for i in range(len(slices)))]
    norms = sum(isinstance(module, nn.LayerNorm) for module in model.modules())
    return _export(model, trace, axes, outputs, [{"image": part} for part in batches], path, facts, norms)


def export_patient_model(
    model: nn.Module,
    features: int,
    path: Path,
    facts: Mapping[str, str] | None = None,
    *,
    studies: Sequence[tuple[FloatArray, FloatArray]] = (),
    seed: int = 2023,
) -> ExportCheck:
    """Export a patient network and compare it with torch at every length of `LENGTHS`, alone and padded in a batch.

    Parameters
    ----------
    model
        `training.patient_model.PatientModel` or a module with the same inputs and outputs.
    features
        F + 3, the length of a slice's features and logits together.
    path
        The ONNX file, replaced.
    facts
        What is known of the network, kept in the file.
    studies
        Features (T, F + 3) and heights (T,) of real studies to compare on as well.

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

    def trace(target: Path) -> None:
        torch.onnx.export(
            model,
            example,
            str(target),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )

    batches = [_sequences(rng, features, (length,)) for length in LENGTHS]
    batches += [_sequences(rng, features, (length, max(1, length // 2), 1)) for length in LENGTHS]
    batches += [
        {"features": rows[None], "position_mm": heights[None], "mask": np.ones((1, len(rows)), np.float32)}
        for rows, heights in studies
    ]
    return _export(model, trace, axes, outputs, batches, path, facts, 0)


@frugal()
def _export(
    model: nn.Module,
    trace: Callable[[Path], None],
    axes: dict[str, dict[int, str]],
    outputs: tuple[str, ...],
    batches: list[dict[str, FloatArray]],
    path: Path,
    facts: Mapping[str, str] | None,
    norms: int,
) -> ExportCheck:
    model = model.eval().to(memory_format=torch.contiguous_format)
    # First, so that the memory of torch's intermediate values is free again when the exporter wants some.
    wanted = [_torch_answer(model, batch) for batch in batches]
    free()
    with tempfile.TemporaryDirectory(prefix="msu-export-") as name:
        folder = Path(name)
        with _quiet(), torch.no_grad():
            trace(folder / "traced.onnx")
        free()
        network = onnx.load(folder / "traced.onnx", load_external_data=False)
        fold_sum_norms(network, folder)
        fold_constants(network, folder)
        network = onnx.shape_inference.infer_shapes(network, strict_mode=True, data_prop=True)
        _check(network, axes, norms)
        forget_origin(network.graph)
        write_facts(network, facts or {})
        (folder / "network.onnx").write_bytes(network.SerializeToString())
        onnx.checker.check_model(str(folder / "network.onnx"), full_check=True)
        free()  # the comparison is where memory is highest
        check = _compare(folder / "network.onnx", outputs, batches, wanted, getattr(model, "labels", "softmax"))
        join_weights(network, folder, path)
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return ExportCheck(path, digest.hexdigest(), *check)


def _check(network: onnx.ModelProto, axes: dict[str, dict[int, str]], norms: int) -> None:
    opsets = {entry.domain: entry.version for entry in network.opset_import if entry.version}
    used = {node.domain for node in network.graph.node}
    if opsets.get("") != OPSET or used - {""}:
        raise ExportError(f"the exporter wrote opsets {opsets}, not {OPSET}", remedy="Use another version of torch.")
    kept = [entry for entry in network.opset_import if entry.domain == ""]
    del network.opset_import[:]
    network.opset_import.extend(kept)
    for value in (*network.graph.input, *network.graph.output):
        for axis, name in axes[value.name].items():
            if value.type.tensor_type.shape.dim[axis].dim_param != name:
                raise ExportError(
                    f"axis {axis} of '{value.name}' was exported with a fixed size",
                    remedy="Look for a Python number taken from a shape in the network's forward.",
                )
    whole = sum(node.op_type == "LayerNormalization" for node in network.graph.node)
    if whole < norms:
        raise ExportError(
            f"{norms - whole} of {norms} LayerNormalizations were taken apart; in FP16 they would overflow",
            remedy="Use another version of torch.",
        )


def _torch_answer(model: nn.Module, batch: dict[str, FloatArray]) -> list[FloatArray]:
    with torch.no_grad():
        answer = model(*(torch.from_numpy(np.ascontiguousarray(value)) for value in batch.values()))
    return [part.numpy() for part in answer]


def _compare(
    file: Path,
    outputs: tuple[str, ...],
    batches: list[dict[str, FloatArray]],
    wanted: list[list[FloatArray]],
    labels: Labels,
) -> tuple[dict[str, float], int, int, int]:
    options = onnxruntime.SessionOptions()
    # Both would copy all weights: packing, and the layout that convolutions get at the highest level.
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.enable_cpu_mem_arena = False
    options.enable_mem_reuse = False  # it keeps a value's memory for the next of that size, a whole block later
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    worst, decisions, flips = dict.fromkeys(outputs, 0.0), 0, 0
    for batch, references in zip(batches, wanted, strict=True):
        for name, value, expected in zip(outputs, session.run(list(outputs), batch), references, strict=True):
            if value.shape != expected.shape:
                raise ExportError(
                    f"output '{name}' is {value.shape}, torch gives {expected.shape}",
                    remedy="Compare the two networks layer by layer.",
                )
            for who, numbers in (("ONNX Runtime", value), ("torch", expected)):  # NaN would pass every comparison below
                if not np.isfinite(numbers).all():
                    raise ExportError(
                        f"output '{name}' is not finite in {who}", remedy="Look at the network's weights."
                    )
            difference = np.abs(value - expected).max(initial=0.0) / max(1.0, float(np.abs(expected).max(initial=0.0)))
            worst[name] = max(worst[name], float(difference))
            if name == "logits":
                decisions += len(value)
                was, now = (calls(class_probabilities(logits, labels), labels) for logits in (expected, value))
                flips += int((was != now).any(axis=1).sum())
    name = max(worst, key=lambda name: worst[name])
    if worst[name] > TOLERANCE or flips:
        raise ExportError(
            f"torch and ONNX Runtime differ by {worst[name]:.2e} in '{name}', {TOLERANCE:.0e} may, and in {flips} of "
            f"{decisions} decisions",
            remedy="Compare the two networks layer by layer.",
        )
    return worst, len(batches), decisions, flips


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporters warn of; it is checked and compared afterwards."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it has no ONNX counterpart
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _plain_attention(model: nn.Module) -> Iterator[None]:
    """Let self-attention be traced batch first and in plain steps.

    Torch's own turns what it reads and makes, and each of query, key and value several times: copies that a runtime
    pays for with every slice, and that hide the pattern which it would compute in one.
    """
    found = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention) and m.batch_first]
    for module in found:
        module.forward = partial(_attend, module)
    try:
        yield
    finally:
        for module in found:
            del module.forward


def _attend(
    module: nn.MultiheadAttention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **more: Any
) -> tuple[torch.Tensor, torch.Tensor | None]:
    asked = {name: given for name, given in more.items() if given not in (None, False)}
    if query is not key or key is not value or asked or module.in_proj_weight is None or module.bias_k is not None:
        return nn.MultiheadAttention.forward(module, query, key, value, **more)
    batch, length, width = query.shape
    parts = nn.functional.linear(query, module.in_proj_weight, module.in_proj_bias)
    parts = parts.reshape(batch, length, 3, module.num_heads, module.head_dim).permute(2, 0, 3, 1, 4)
    queries, keys, values = parts.unbind(0)
    weight = torch.softmax((queries * module.head_dim**-0.5) @ keys.transpose(2, 3), dim=3)
    seen = (weight @ values).transpose(1, 2).reshape(batch, length, width)
    return nn.functional.linear(seen, module.out_proj.weight, module.out_proj.bias), None


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
