"""Weights in files: written whole or not at all, and read without running anything that is in them.

A pickle can run code when it is opened. Files are read with ``weights_only=True``, which admits tensors and plain
values; a pickled whole model is refused with the way to get its state dict.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import get_model_weights

from edge_app.core.errors import TrainingError
from training.data.atomic import replacing
from training.data.files import SYNTHETIC
from training.families import Classifier, head_of
from training.image_model import COARSE_ARCHITECTURE, DEMO_ARCHITECTURE

__all__ = ["of_simulated", "read_state_dict", "read_tensors", "start_weights", "weights_hash", "write_tensors"]

State = dict[str, torch.Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_WAY_OUT = (
    "Where it was made, run: m = torch.load(FILE, weights_only=False); torch.save(m.state_dict(), 'state.pt'). Then "
    "give state.pt. Do so only with files whose maker you trust."
)


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values.

    Raises
    ------
    TrainingError
        If the disk is full; the file that was there stays.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def read_tensors(path: Path) -> Any:
    """Read tensors and plain values.

    Raises
    ------
    TrainingError
        If the file is missing, damaged, or holds anything else, such as a pickled model.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TrainingError(
            f"{path} is not only weights: it is a pickle, such as a whole model, which could run any code",
            remedy=_WAY_OUT,
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise TrainingError(
            f"{path} cannot be read: {error}", remedy="Give a state dict saved by torch.save."
        ) from error


def read_state_dict(path: Path) -> State:
    """Read a state dict, taken out of the usual wrappers.

    Raises
    ------
    TrainingError
        If it is none.
    """
    content = read_tensors(path)
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise TrainingError(f"{path} holds no state dict", remedy="Save model.state_dict().")
    return {name.removeprefix("module."): value for name, value in content.items()}


def weights_hash(model: nn.Module) -> str:
    """Return a hash of all parameters and buffers by name."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}:{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def start_weights(model: Classifier, choice: str) -> str:
    """Load what training starts from, and return what it is in words, which hold SYNTHETIC where it is.

    Parameters
    ----------
    model
        Randomly initialised.
    choice
        ``imagenet``, ``random``, ``auto`` (ImageNet if it can be had, else random), or a file with a state dict; a
        head of another size in it is left out.

    Raises
    ------
    TrainingError
        If the weights cannot be had, or are not this architecture's.
    """
    if choice == "random":
        return "random"
    if choice in ("auto", "imagenet"):
        try:
            state = _imagenet(model.architecture)
        except (OSError, TrainingError) as error:  # URLError is an OSError
            if choice == "auto":
                return f"random, because ImageNet's cannot be had ({error})"
            raise TrainingError(
                f"ImageNet weights of {model.architecture} cannot be had: {error}",
                remedy="Give --weights random, or a file that was downloaded elsewhere: --weights FILE.",
            ) from error
        _load(model, state, "ImageNet")
        return "ImageNet"
    path = Path(choice)
    _load(model, read_state_dict(path), str(path))
    return f"{path.name}, {SYNTHETIC}" if of_simulated(path) else path.name


def of_simulated(path: Path) -> bool:
    """Return whether the description beside a file of weights says that they were trained on simulated studies."""
    try:
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and bool(described.get("synthetic"))


def _imagenet(architecture: str) -> State:
    if architecture in (DEMO_ARCHITECTURE, COARSE_ARCHITECTURE):
        raise TrainingError(f"nobody has trained {architecture} on ImageNet", remedy="Take another architecture.")
    state: State = get_model_weights(architecture).DEFAULT.get_state_dict(progress=False, check_hash=True)
    return state


def _load(model: Classifier, state: State, source: str) -> None:
    own = model.net.state_dict()
    head = head_of(model.net)[0] + "."
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    missing = sorted(name for name in own if name not in fitting and not name.startswith(head))
    if missing:
        raise TrainingError(
            f"{source} are not weights of {model.architecture}: {len(missing)} are missing, first {missing[0]}",
            remedy="Give --arch as the weights were trained.",
        )
    model.net.load_state_dict({**own, **fitting})
