"""The arguments of `msu train …`, and what each of its commands calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

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
    image.add_argument("--labels", choices=("softmax", "findings"), default="softmax")
    image.add_argument(
        "--weights", default="auto", metavar="W", help="imagenet, random, auto (ImageNet if to be had), or a file"
    )
    for name, kind in (("epochs", int), ("batch", int), ("patience", int), ("learning-rate", float), ("seed", int)):
        image.add_argument(f"--{name}", type=kind, metavar="X", help="in place of the recipe's")
    image.add_argument("--devices", type=int, default=1, metavar="N", help="devices of a node (for CPU: processes)")
    image.add_argument("--nodes", type=int, default=1, metavar="M", help="nodes; start with torchrun")
    image.add_argument("--accelerator", choices=("auto", "cpu", "cuda"), default="auto")
    image.add_argument("--checkpoint-steps", type=int, default=500, metavar="N")
    return parser


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="slices from `msu data preprocess`")


def _image(arguments: argparse.Namespace) -> int:
    from training.recipes import slice_recipe
    from training.run_image import ImageRun, train_slices

    recipe = slice_recipe(
        arguments.recipe,
        epochs=arguments.epochs,
        batch=arguments.batch,
        patience=arguments.patience,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    done = train_slices(
        ImageRun(
            data=arguments.data,
            out=arguments.out,
            architecture=arguments.arch,
            recipe=recipe,
            labels=arguments.labels,
            weights=arguments.weights,
            devices=arguments.devices,
            nodes=arguments.nodes,
            accelerator=arguments.accelerator,
            checkpoint_steps=arguments.checkpoint_steps,
        )
    )
    _say(f"{arguments.out}: {arguments.arch}, best validation loss {done['best']['loss']:.4f} in epoch "
         f"{done['best']['epoch']}")  # fmt: skip
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
