"""The arguments of `msu train …`, and what each of its commands calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_app.core.errors import ConfigError
from training.evaluate_cli import add_evaluate_arguments, run_evaluate
from training.search_cli import add_search_arguments

if TYPE_CHECKING:
    from training.search_spaces import Drawn

__all__ = ["train_parser"]


def train_parser() -> argparse.ArgumentParser:
    """Return the parser; its `run` takes the arguments and returns an exit code."""
    parser = argparse.ArgumentParser(prog="msu train", description="Prepared slices to judged networks.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    image = command("image", _image, "train the image network; the same command goes on with a killed run")
    _add_data(image)
    image.add_argument("--out", type=Path, required=True, metavar="DIR", help="weights, checkpoint and log")
    image.add_argument("--arch", default="resnet152", metavar="NAME", help="any torchvision classifier")
    image.add_argument("--recipe", choices=("seed2023", "modern"), default="seed2023")
    _add_labels(image)
    image.add_argument(
        "--weights", default="auto", metavar="W", help="imagenet, random, auto (ImageNet if to be had), or a file"
    )
    for name, kind in (("epochs", int), ("batch", int), ("patience", int), ("learning-rate", float),
                       ("weight-decay", float), ("map-weight", float), ("seed", int)):  # fmt: skip
        image.add_argument(f"--{name}", type=kind, metavar="X", help="in place of the recipe's")
    image.add_argument("--devices", type=int, default=1, metavar="N", help="devices of a node (for CPU: processes)")
    image.add_argument("--nodes", type=int, default=1, metavar="M", help="nodes; start with torchrun")
    image.add_argument("--accelerator", choices=("auto", "cpu", "cuda"), default="auto")
    image.add_argument("--checkpoint-steps", type=int, default=500, metavar="N")
    _add_found(image)

    search = command("search", _search, "search for hyperparameters; the same command joins, or goes on with, a search")
    add_search_arguments(search)

    features = command("features", _features, "compute features and logits of all slices, kept by pixels and weights")
    _add_data(features)
    _add_image(features)

    patient = command("patient", _patient, "train the patient network on the image network's features")
    _add_data(patient)
    _add_image(patient)
    patient.add_argument("--out", type=Path, required=True, metavar="DIR")
    patient.add_argument("--arch", choices=("gru", "transformer"), default="gru")
    patient.add_argument("--recipe", choices=("seed2023", "ours"), default="ours")
    _add_labels(patient)
    patient.add_argument("--epochs", type=int, metavar="N", help="in place of the recipe's")
    patient.add_argument("--seed", type=int, default=2023)
    patient.add_argument(
        "--both",
        type=float,
        metavar="SHARE",
        help="share of training studies that get slices of another class's, so that both findings are seen in one; in "
        "place of the recipe's, with --recipe ours and --labels findings",
    )
    _add_found(patient)

    evaluate = command("evaluate", run_evaluate, "judge an experiment; opens the test split, once, and says so")
    _add_data(evaluate)
    _add_image(evaluate)
    add_evaluate_arguments(evaluate)

    bring = command("import", _import, "take up weights trained with the published code (state dicts only)")
    bring.add_argument("kind", choices=("image", "gru", "transformer"))
    bring.add_argument("file", type=Path, metavar="FILE", help="a state dict (.ckpt, .pt)")
    bring.add_argument("--out", type=Path, required=True, metavar="DIR")
    bring.add_argument("--arch", metavar="NAME", help="image: resnet152, vit_l_16 …; default the file's name")
    bring.add_argument("--heads", type=int, default=8, help="transformer: heads, which weights do not tell")
    bring.add_argument("--profile", default="seed2023", help="image: preprocessing it was trained with")
    return parser


def _add_image(command: argparse.ArgumentParser) -> None:
    command.add_argument("--image", type=Path, required=True, metavar="DIR", help="from `msu train image` or `import`")
    command.add_argument("--device", default="", metavar="NAME", help="cpu, cuda …; default the best there is")


def _add_labels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--labels",
        choices=("softmax", "findings"),
        help="one of three classes, or each finding for itself; default softmax with seed2023, else findings",
    )


def _add_found(command: argparse.ArgumentParser) -> None:
    command.add_argument("--search", type=Path, metavar="DIR", help="hyperparameters of the best of `msu train search`")


def _found(arguments: argparse.Namespace, kind: str) -> Drawn:
    from training.search_report import read_found
    from training.search_spaces import Drawn

    return read_found(arguments.search, kind, arguments.recipe) if arguments.search else Drawn("", {}, {})


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="slices from `msu data preprocess`")


def _image(arguments: argparse.Namespace) -> int:
    from training.recipes import slice_recipe
    from training.run_image import ImageRun, train_slices
    from training.targets import default_labels

    for name in ("devices", "nodes", "checkpoint_steps"):
        if getattr(arguments, name) < 1:
            words = name.replace("_", "-")
            raise ConfigError(f"--{words} {getattr(arguments, name)}", remedy="Give a positive number.")
    given = {
        name: value
        for name in ("epochs", "batch", "patience", "learning_rate", "weight_decay", "map_weight", "seed")
        if (value := getattr(arguments, name)) is not None
    }
    found = _found(arguments, "image")
    recipe = slice_recipe(arguments.recipe, **{**found.changes, **given})
    architecture = found.architecture or arguments.arch
    done = train_slices(
        ImageRun(
            data=arguments.data,
            out=arguments.out,
            architecture=architecture,
            recipe=recipe,
            labels=arguments.labels or default_labels(arguments.recipe),
            weights=arguments.weights,
            devices=arguments.devices,
            nodes=arguments.nodes,
            accelerator=arguments.accelerator,
            checkpoint_steps=arguments.checkpoint_steps,
        )
    )
    _say(f"{arguments.out}: {architecture}, best validation loss {done['best']['loss']:.4f} in epoch "
         f"{done['best']['epoch']}")  # fmt: skip
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from training.search_cli import search

    return search(arguments)


def _features(arguments: argparse.Namespace) -> int:
    from training.data.prepared import open_prepared
    from training.feature_cache import open_cache, study_features

    sets = open_prepared(arguments.data)
    cache = open_cache(arguments.image, arguments.data, arguments.device)
    slices = 0
    for side, data in sets.items():
        slices += sum(len(rows) for rows in study_features(cache, data, title=f"features, {side}").features)
    _say(f"{cache.path}: {slices} slices, {cache.computed} computed now")
    return 0


def _patient(arguments: argparse.Namespace) -> int:
    from training.data.prepared import open_prepared
    from training.feature_cache import best_device, open_cache, study_features
    from training.opening import refuse_if_opened
    from training.run_patient import origin_of, save_patient, train_studies

    refuse_if_opened(arguments.out)
    found = _found(arguments, arguments.arch)
    sets = open_prepared(arguments.data)
    cache = open_cache(arguments.image, arguments.data, arguments.device)
    known, held_out = (study_features(cache, sets[side], title=side) for side in ("train", "validation"))
    model, description = train_studies(
        arguments.arch,
        arguments.recipe,
        known,
        held_out,
        epochs=arguments.epochs,
        seed=arguments.seed,
        labels=arguments.labels,
        device=best_device(arguments.device),
        changes=found.changes if arguments.both is None else {**found.changes, "both": arguments.both},
        sizes=found.sizes,
    )
    origin = origin_of(arguments.data, arguments.image, cache.model)
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_patient(arguments.out, model, {**description, **origin})
    best = description["best"]
    _say(f"{arguments.out}: {arguments.arch} {arguments.recipe}, validation loss {best['loss']:.4f}, "
         f"accuracy {best['accuracy']:.4f} in epoch {best['epoch']}")  # fmt: skip
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from training import published_weights

    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.kind == "image":
        architecture = arguments.arch or arguments.file.stem
        _say(published_weights.import_image(arguments.file, architecture, arguments.out, profile=arguments.profile))
    else:
        _say(published_weights.import_patient(arguments.file, arguments.kind, arguments.out, heads=arguments.heads))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
