"""An experiment's folder: weights as a state dict beside a description in JSON, and what has been done with it.

::

    image/    image.pt  image.json  checkpoint.pt  tensorboard/  features-<hash>.sqlite
    patient/  patient.pt  patient.json  test-opened.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_app.core.errors import TrainingError
from edge_app.preprocessing import Profile, get_profile
from training.commit import producer_commit
from training.data.atomic import replacing
from training.data.preprocess import DESCRIPTION
from training.families import Classifier
from training.weights import read_state_dict, write_tensors

__all__ = [
    "check_preprocessing",
    "load_image_network",
    "prepared_facts",
    "profile_of",
    "read_description",
    "save_image_network",
    "write_description",
]


def prepared_facts(folder: Path) -> dict[str, Any]:
    """Return what a folder of prepared slices says of itself; `open_prepared` has checked it."""
    facts: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    return facts


def profile_of(facts: dict[str, Any]) -> Profile:
    """Return the preprocessing profile that slices were prepared with."""
    return get_profile(facts["preparation"]["profile"])


def check_preprocessing(image: Path, description: dict[str, Any], data: Path) -> None:
    """Refuse slices that were not prepared as those an image network was trained on.

    Parameters
    ----------
    image, description
        The network's folder, and what it says of itself.
    data
        Folder of prepared slices.

    Raises
    ------
    TrainingError
        If it was trained on another profile, or on another version of it.
    """
    facts = prepared_facts(data)
    profile, trained_on = facts["preparation"]["profile"], description.get("profile")
    if trained_on != profile:
        raise TrainingError(
            f"{image} was trained on profile {trained_on}, {data} is {profile}",
            remedy="Run `msu data preprocess` with the network's own profile.",
        )
    if description.get("profile_sha256", facts["profile_sha256"]) != facts["profile_sha256"]:
        raise TrainingError(
            f"{image} was trained on another version of profile {profile} than {data} was prepared with",
            remedy="Train or import the network again, or prepare and judge with the version it was trained with.",
        )


def write_description(path: Path, content: dict[str, Any]) -> None:
    """Write a description as JSON."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def read_description(path: Path, made_by: str) -> dict[str, Any]:
    """Read a description.

    Raises
    ------
    TrainingError
        If it is missing or damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}", remedy=f"Make it with `{made_by}`.") from error
    return content


def save_image_network(folder: Path, model: Classifier, description: dict[str, Any]) -> None:
    """Write the network's weights under torchvision's names, then its description, which makes them count."""
    write_tensors(folder / "image.pt", {name: value.detach().cpu() for name, value in model.net.state_dict().items()})
    known = {"architecture": model.architecture, "labels": model.labels, "normalise": model.normalise}
    known |= {"features": model.features, "commit": producer_commit()}
    write_description(folder / "image.json", {**known, **description})


def load_image_network(folder: Path) -> tuple[Classifier, dict[str, Any]]:
    """Return an image network in evaluation mode, and its description.

    Raises
    ------
    TrainingError
        If there is none, or weights and description do not fit.
    """
    description = read_description(folder / "image.json", "msu train image")
    try:
        model = Classifier(
            description["architecture"], labels=description["labels"], normalise=description["normalise"]
        )
        model.net.load_state_dict(read_state_dict(folder / "image.pt"))
    except (KeyError, RuntimeError) as error:
        raise TrainingError(
            f"{folder / 'image.pt'} does not fit its description: {error}", remedy="Train or import it again."
        ) from error
    return model.eval(), description
