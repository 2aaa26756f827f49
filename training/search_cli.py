"""`msu train search`: its arguments, and what it says at the end."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_app.core.errors import ConfigError

__all__ = ["add_search_arguments", "search"]


def add_search_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("kind", choices=("image", "gru", "transformer"))
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="slices from `msu data preprocess`")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="study, report and the best's weights")
    command.add_argument("--image", type=Path, metavar="DIR", help="gru, transformer: the trained image network")
    command.add_argument(
        "--recipe",
        choices=("seed2023", "modern", "ours"),
        default="seed2023",
        help="seed2023: the published space; modern (image), ours (gru, transformer): our own",
    )
    command.add_argument(
        "--trials", type=int, metavar="N", help="of all workers together; default 100, or all 240 of the published grid"
    )
    command.add_argument("--storage", default="", metavar="URL", help="Optuna storage; default SQLite in --out")
    command.add_argument("--seed", type=int, default=2023)
    command.add_argument("--epochs", type=int, metavar="N", help="of a trial at most, in place of the recipe's")
    command.add_argument("--batch", type=int, metavar="N", help="image: in place of the recipe's")
    command.add_argument("--archs", nargs="+", default=[], metavar="NAME", help="image: in place of the published five")
    command.add_argument("--labels", choices=("softmax", "findings"), help="default as for `msu train image|patient`")
    command.add_argument("--weights", default="auto", metavar="W", help="image: imagenet, random, auto")
    command.add_argument("--device", default="", metavar="NAME", help="cpu, cuda …; default the best there is")


def search(arguments: argparse.Namespace) -> int:
    """Run the search, or join it."""
    from training.search import Search, TrialRunner, run_search
    from training.search_report import FOUND, write_report
    from training.search_spaces import grid_size, space_of

    if arguments.trials is not None and arguments.trials < 1:
        raise ConfigError(f"--trials {arguments.trials}", remedy="Give a positive number.")
    space = space_of(arguments.kind, arguments.recipe, arguments.archs)
    wanted = Search(
        kind=arguments.kind,
        recipe=arguments.recipe,
        space=space,
        out=arguments.out,
        trials=arguments.trials or grid_size(space) or 100,
        storage=arguments.storage,
        seed=arguments.seed,
    )
    runner: TrialRunner
    settings, runner = _image(arguments) if arguments.kind == "image" else _patient(arguments)
    identity = {"space": {name: repr(parameter) for name, parameter in space.items()}, "seed": arguments.seed}
    study = run_search(wanted, {**identity, **settings}, runner)
    found = write_report(study, wanted)
    best = found["best"]
    values = ", ".join(f"{name} {value}" for name, value in best["parameters"].items())
    counts = ", ".join(f"{count} {state}" for state, count in sorted(found["trials"].items()))
    _say(f"{arguments.out / FOUND}: {counts}")
    _say(f"best validation loss {best['loss']:.4f} in trial {best['trial']}: {values}")
    again = "image" if arguments.kind == "image" else f"patient --arch {arguments.kind}"
    _say(f"its weights are in {arguments.out / best['folder']}")
    _say(f"to train with its values: msu train {again} --recipe {arguments.recipe} --search {arguments.out} …")
    return 0


def _image(arguments: argparse.Namespace) -> tuple[dict[str, object], object]:
    from training.data.prepared import open_prepared
    from training.experiment import prepared_facts
    from training.recipes import slice_recipe
    from training.run_image import ImageRun
    from training.search_trials import image_trials
    from training.targets import default_labels

    open_prepared(arguments.data)  # a slip is told before the study is begun
    run = ImageRun(
        data=arguments.data,
        out=arguments.out,
        architecture="",
        recipe=slice_recipe(arguments.recipe, epochs=arguments.epochs, batch=arguments.batch, seed=arguments.seed),
        labels=arguments.labels or default_labels(arguments.recipe),
        weights=arguments.weights,
        accelerator=arguments.device or "auto",
    )
    settings: dict[str, object] = {"data": prepared_facts(arguments.data)["content_sha256"]}
    settings |= {"labels": run.labels, "weights": run.weights, "epochs": run.recipe.epochs, "batch": run.recipe.batch}
    return settings, image_trials(run)


def _patient(arguments: argparse.Namespace) -> tuple[dict[str, object], object]:
    from training.data.prepared import open_prepared
    from training.feature_cache import best_device, open_cache, study_features
    from training.run_patient import choose_labels, origin_of
    from training.search_trials import PatientTrials

    if arguments.image is None:
        raise ConfigError(f"search {arguments.kind} needs --image", remedy="Give the folder of `msu train image`.")
    sets = open_prepared(arguments.data)
    cache = open_cache(arguments.image, arguments.data, arguments.device)
    known, held_out = (study_features(cache, sets[side], title=side) for side in ("train", "validation"))
    origin = origin_of(arguments.data, arguments.image, cache.model)
    runner = PatientTrials(
        arch=arguments.kind,
        recipe=arguments.recipe,
        known=known,
        held_out=held_out,
        origin=origin,
        labels=arguments.labels or choose_labels(arguments.recipe, known, held_out),
        epochs=arguments.epochs,
        seed=arguments.seed,
        device=best_device(arguments.device),
    )
    kept = {name: origin[name] for name in ("data", "image_weights")}
    return {**kept, "labels": runner.labels, "epochs": arguments.epochs}, runner


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
