"""Weights trained with the published code, taken up: image networks, `BiGRUModel` and `CNNTransformer`.

Layers are known by their keys and sizes, not by the attributes' names, which differ between versions of that code.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from edge_app.preprocessing import get_profile, profile_hash
from training.data.records import LICENCES
from training.experiment import save_image_network
from training.families import Classifier, head_of
from training.published import BiGRUModel, CNNTransformer, PublishedPatient
from training.run_patient import save_patient
from training.weights import of_simulated, read_state_dict

__all__ = ["import_image", "import_patient"]

State = dict[str, torch.Tensor]


def import_image(file: Path, architecture: str, out: Path, *, profile: str = "seed2023") -> str:
    """Write an image network from a state dict with torchvision's keys and the published (or torchvision's own) head.

    Raises
    ------
    TrainingError
        If the file is a pickled model, or not this architecture's weights with a head of three classes.
    """
    state = read_state_dict(file)
    model = Classifier(architecture)
    name = head_of(model.net)[0]
    for bare in (f"{name}.", f"{name}.head."):  # torchvision's own head has no Sequential around it
        for part in ("weight", "bias"):
            if bare + part in state:
                state[f"{name}.0.{part}"] = state.pop(bare + part)
    _load(model.net, state, file, architecture)
    description = {
        "weights": file.name,
        "profile": profile,
        "profile_sha256": profile_hash(get_profile(profile)),
        "licences": {source: LICENCES[source] for source in ("rsna", "aisd")},
        "imported": True,
        "synthetic": of_simulated(file),
    }
    save_image_network(out, model, description)
    return f"{out}: {architecture}, {model.features} features, profile {profile}"


def import_patient(file: Path, kind: str, out: Path, *, heads: int = 8) -> str:
    """Write a patient network from the state dict of a `BiGRUModel` (``gru``) or `CNNTransformer` (``transformer``).

    Raises
    ------
    TrainingError
        If the file is a pickled model, or its layers are not those of the network.
    """
    state = read_state_dict(file)
    first = "weight_ih_l0" if kind == "gru" else "layers.0.self_attn.in_proj_weight"
    prefix = next((key.removesuffix(first) for key in state if key.endswith(first)), None)
    heads_found = [
        k.removesuffix("weight") for k, v in state.items() if k.endswith("weight") and len(v) == len(CLASSES)
    ]
    if prefix is None or len(heads_found) != 1:
        raise TrainingError(
            f"{file} is no published {kind}: it has no {first}, or not one head of three classes",
            remedy="Say what it is: msu train import image|gru|transformer.",
        )
    renamed = {}
    for key, value in state.items():
        if key.startswith(heads_found[0]):
            renamed["fc." + key.removeprefix(heads_found[0])] = value
        elif key.startswith(prefix):
            renamed[("gru." if kind == "gru" else "transformer_encoder.") + key.removeprefix(prefix)] = value
        elif key.rsplit(".", 1)[-1] != "pe":  # its positional encoding is never used, and only a table
            raise TrainingError(f"{file} has the unknown weight {key}", remedy="Is it the published network?")
    sizes: dict[str, int]
    if kind == "gru":
        sizes = {
            "hidden": renamed["gru.weight_hh_l0"].shape[1],
            "layers": sum(re.fullmatch(r"gru\.weight_ih_l\d+", key) is not None for key in renamed),
        }
        width = features = renamed["gru.weight_ih_l0"].shape[1]
        net: nn.Module = BiGRUModel(features, **sizes)
    else:
        width = renamed["fc.weight"].shape[1]
        features = width + len(CLASSES)
        sizes = {"heads": heads, "feed_forward": renamed["transformer_encoder.layers.0.linear1.weight"].shape[0]}
        if width % heads:
            raise TrainingError(f"{heads} heads do not divide {width} features", remedy="Give --heads 2, 4 or 8.")
        net = CNNTransformer(width, **sizes)
    _load(net, renamed, file, f"published {kind}")
    description = {
        "arch": kind,
        "recipe": "seed2023",
        "features": features,
        "sizes": sizes,
        "distance_threshold": None,
        "weights": file.name,
        "imported": True,
        "synthetic": of_simulated(file),
    }
    save_patient(out, PublishedPatient(net, width), description)
    return f"{out}: published {kind} of {features} features a slice"


def _load(net: nn.Module, state: State, file: Path, what: str) -> None:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise TrainingError(
            f"{file} are not the weights of {what}: {error}", remedy="Give the right --arch."
        ) from error
