"""The workshop's part of `msu bundle`: make, sign, key; `edge_app.processes.bundle_command` hands over to here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_app.core.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["bundle"]


def bundle(argv: Sequence[str]) -> int:
    """Run ``msu bundle make|sign|key``.

    Raises
    ------
    MsuError
        If a part is missing, does not fit, or is refused by the gate; or if a key cannot be read.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="msu bundle", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    make = commands.add_parser("make", help="networks, golden set and description to a bundle, after the accuracy gate")
    make.set_defaults(run=_make)
    make.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder, or one with a bundle")
    make.add_argument("--from", dest="base", type=Path, metavar="BUNDLE", help="take all that is not named from it")
    make.add_argument("--description", type=Path, metavar="FILE", help="bundle.json of `msu train evaluate`")
    make.add_argument("--thresholds", type=Path, metavar="FILE", help="a site's own, from `msu outcomes thresholds`")
    make.add_argument("--clinician", default="", metavar="NAME", help="who answers for them, and signs with --key")
    make.add_argument("--version", default="", help="the bundle's version")
    for option, text in (
        ("--image", "image network, FP32 (ONNX)"),
        ("--patient", "patient network, FP32 (ONNX)"),
        ("--image-fp16", "image network, FP16, from `msu calibrate`"),
        ("--image-int8", "image network, INT8 Q/DQ, from `msu calibrate`"),
        ("--calibration", "calibration record of the INT8 network"),
        ("--golden", "golden set (.npz)"),
    ):
        make.add_argument(option, type=Path, metavar="FILE", help=text)
    _add_key(make, required=False)

    sign = commands.add_parser("sign", help="sign a bundle's folder")
    sign.set_defaults(run=_sign)
    sign.add_argument("path", type=Path, metavar="DIR")
    _add_key(sign, required=True)

    key = commands.add_parser("key", help="make a key pair: the private one stays here, vehicles get the public one")
    key.set_defaults(run=_key)
    key.add_argument("name", metavar="NAME")
    key.add_argument("--out", type=Path, required=True, metavar="DIR")
    key.add_argument("--passphrase", action="store_true", help="ask for a passphrase to keep it with")
    return parser


def _add_key(parser: argparse.ArgumentParser, *, required: bool) -> None:
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--key", type=Path, metavar="FILE", help="private key (PEM, Ed25519)")
    which.add_argument("--development", action="store_true", help="the DEVELOPMENT KEY, which everybody has")


def _read_key(arguments: argparse.Namespace) -> Ed25519PrivateKey | None:
    from edge_app.inference.signature import DEVELOPMENT_KEY
    from export.signing import read_private_key

    if arguments.development:
        return DEVELOPMENT_KEY
    return read_private_key(arguments.key) if arguments.key else None


def _make(arguments: argparse.Namespace) -> int:
    from edge_app.inference.manifest import IMAGE_FILE, PATIENT_FILE
    from edge_app.inference.passport import CALIBRATION_FILE, GOLDEN_FILE, onnx_file
    from export.bundle_make import assemble, read_parts

    key = _read_key(arguments)
    if arguments.thresholds and key is None:
        raise ConfigError("a site's own thresholds are signed by who answers for them", remedy="Name --key FILE.")
    named = {
        IMAGE_FILE: arguments.image,
        PATIENT_FILE: arguments.patient,
        onnx_file("image", "fp16"): arguments.image_fp16,
        onnx_file("image", "int8"): arguments.image_int8,
        CALIBRATION_FILE: arguments.calibration,
        GOLDEN_FILE: arguments.golden,
    }
    parts = read_parts(
        base=arguments.base,
        description=arguments.description,
        files={name: path for name, path in named.items() if path is not None},
        version=arguments.version,
        thresholds=arguments.thresholds,
        clinician=arguments.clinician,
    )
    manifest = assemble(arguments.out, parts, key=key, on_step=_say)
    signed = "" if key else ", unsigned: `msu bundle sign`"
    _say(f"{arguments.out}: {manifest.name} {manifest.version}, {len(manifest.files)} files{signed}")
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from export.signing import sign_bundle

    if key := _read_key(arguments):
        _say(f"{arguments.path}: signed with key {sign_bundle(arguments.path, key).key_id[:16]}")
    return 0


def _key(arguments: argparse.Namespace) -> int:
    from getpass import getpass

    from export.signing import make_key

    passphrase = getpass("Passphrase: ") if arguments.passphrase else ""
    made = make_key(arguments.out, arguments.name, passphrase=passphrase)
    _say(f"{arguments.name} {made}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
