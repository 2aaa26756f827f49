"""The workshop's commands, `msu data …` and `msu train …`; `edge_app.cli` hands over to here when they are asked for.

Only the standard library is imported on the way in, so that ``--help`` is immediate and a missing package is named.
Data go to files, a summary to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge_app.core.errors import ConfigError, TrainingError
from training.train_cli import train_parser

if TYPE_CHECKING:
    from training.data.parallel import Workers
    from training.data.records import IndexedStudy
    from training.data.split import Split

__all__ = ["data", "train"]

PACKAGES = ("pyarrow", "tqdm")
"""What `msu data` needs beyond the vehicle's packages."""

TRAIN_PACKAGES = (
    *PACKAGES,
    "torch",
    "torchvision",
    "lightning_fabric",
    "tensorboard",
    "optuna",
    "matplotlib",
    "sklearn",
)
"""What `msu train` needs."""


def data(argv: Sequence[str]) -> int:
    """Run one `msu data` command.

    Raises
    ------
    ConfigError
        If a workshop package is missing.
    MsuError
        If the data cannot be used; what was finished stays.
    """
    return _run("data", PACKAGES, _data_parser().parse_args(argv))


def train(argv: Sequence[str]) -> int:
    """Run one `msu train` command.

    Raises
    ------
    ConfigError
        If a workshop package is missing.
    MsuError
        If the training cannot go on; checkpoints stay.
    """
    return _run("train", TRAIN_PACKAGES, train_parser().parse_args(argv))


def _run(command: str, packages: Sequence[str], arguments: argparse.Namespace) -> int:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"`msu {command}` needs {', '.join(missing)}, which the vehicle does not have",
            remedy="On a workshop machine: pip install .[train]",
        )
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except OSError as error:
        from training.data.atomic import DISK_FULL

        # Files are written through `training.data.atomic`; this is for folders, locks and TensorBoard's log.
        if error.errno in DISK_FULL:
            raise TrainingError(
                f"the disk is full: {error}", remedy="Free space and run the same command again: it goes on."
            ) from error
        if error.filename is None:
            raise
        raise TrainingError(f"{error.filename}: {error.strerror}", remedy="Check the path and its rights.") from error


def _data_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="msu data", description="Data sets: raw folders to prepared, split slices.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    index = command("index", _index, "read data sets into one Parquet index, and list what cannot be used")
    index.add_argument("--rsna", type=Path, metavar="DIR", help="holds stage_2_train/ and stage_2_train.csv")
    index.add_argument("--aisd", type=Path, metavar="DIR", help="holds dicom-0..2/, image/ and mask/")
    index.add_argument(
        "--generic",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="holds a folder per study and labels.csv; one for each place the data come from",
    )
    index.add_argument("--out", type=Path, required=True, metavar="FILE", help="the index (.parquet)")
    index.add_argument("--allow-missing", action="store_true", help="rsna: labelled images may be absent")
    _add_workers(index)

    split = command("split", _split, "draw a balanced sample and split it by patient")
    split.add_argument("--index", type=Path, required=True, metavar="FILE")
    split.add_argument("--out", type=Path, required=True, metavar="FILE", help="the split (.json)")
    split.add_argument("--per-class", type=int, metavar="N", help="studies per class: 400, 800, 1200 …; default all")
    split.add_argument("--seed", type=int, default=2023)
    split.add_argument(
        "--shares", type=float, nargs=3, default=(0.7, 0.15, 0.15), metavar=("TRAIN", "VALIDATION", "TEST")
    )

    check = command("check", _check, "check that nothing stands on two sides of a split")
    check.add_argument("--index", type=Path, required=True, metavar="FILE")
    check.add_argument("--split", type=Path, required=True, metavar="FILE")

    preprocess = command("preprocess", _preprocess, "prepare the slices of a split as the vehicle would; resumable")
    preprocess.add_argument("--index", type=Path, required=True, metavar="FILE")
    preprocess.add_argument("--split", type=Path, required=True, metavar="FILE")
    preprocess.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the shards")
    preprocess.add_argument("--profile", default="msu1", help="preprocessing profile: msu1, seed2023, seed2023-fixed")
    preprocess.add_argument("--dtype", choices=("uint8", "float16"), default="uint8")
    preprocess.add_argument("--studies-per-shard", type=int, default=16, metavar="N")
    preprocess.add_argument(
        "--root", action="append", default=[], metavar="SOURCE=DIR", help="where a source lies now, if it was moved"
    )
    _add_workers(preprocess)

    synth = command("synth", _synth, "write simulator studies in a data set's own layout")
    synth.add_argument("--layout", choices=("rsna", "aisd", "generic"), required=True)
    synth.add_argument("--out", type=Path, required=True, metavar="DIR")
    synth.add_argument("--studies", type=int, required=True, metavar="N")
    synth.add_argument("--seed", type=int, default=1, help="seed of the first study; the others follow")
    synth.add_argument(
        "--personality", nargs="+", default=["training"], metavar="NAME", help="scanners, or: training, unseen, all"
    )
    synth.add_argument("--labels", nargs="+", default=[], metavar="CLASS", help="classes in turn; default the layout's")
    _add_workers(synth)
    return parser


def _add_workers(command: argparse.ArgumentParser) -> None:
    command.add_argument("--processes", type=int, default=0, metavar="N", help="local processes; default one per core")
    command.add_argument("--dask", default="", metavar="ADDRESS", help="work on this Dask cluster (tcp://host:8786)")


def _workers(arguments: argparse.Namespace) -> Workers:
    from training.data.parallel import Workers

    return Workers(arguments.processes, arguments.dask)


def _index(arguments: argparse.Namespace) -> int:
    from training.data import generic
    from training.data.aisd import find_patients, read_aisd
    from training.data.index import build_index, rejects_path
    from training.data.records import LICENCES
    from training.data.rsna import read_rsna

    workers = _workers(arguments)
    own = _own_sources(arguments.generic)
    roots = {name: root for name in ("rsna", "aisd") if (root := getattr(arguments, name)) is not None} | own
    if not roots:
        raise ConfigError("no data set was given", remedy="Give --rsna, --aisd or --generic with its folder.")
    # What is quick to see is asked first, so that a slip in one layout does not cost the reading of another.
    if arguments.aisd is not None:
        find_patients(arguments.aisd)
    for root in own.values():
        generic.read_table(root / generic.TABLE)
    kept = arguments.out.with_name(f".{arguments.out.name}.reading")
    found = []
    for name, root in roots.items():
        if name == "rsna":
            found.append(read_rsna(root, workers, allow_missing=arguments.allow_missing, kept=kept))
        elif name == "aisd":
            found.append(read_aisd(root, workers))
        else:
            found.append(generic.read_generic(root, workers, source=name))
    index, rejects = build_index(found, roots, arguments.out)
    shutil.rmtree(kept, ignore_errors=True)
    slices = sum(len(study.slices) for study in index.studies)
    _say(f"{arguments.out}: {len(index.studies)} studies, {slices} slices")
    for name, count in index.classes().items():
        _say(f"  {name:<11}{count:>8} studies")
    _say(f"{rejects_path(arguments.out)}: {len(rejects)} files or studies left out")
    for code in sorted({reject.code for reject in rejects}):
        _say(f"  {code:<20}{sum(reject.code == code for reject in rejects):>8}")
    for source in roots:
        _say(f"{source}: {LICENCES.get(source, LICENCES['generic'])}")
    return 0


def _own_sources(given: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each source of one's own by its name, "generic" where none is given."""
    found: dict[str, Path] = {}
    for item in given:
        name, sign, folder = item.partition("=")
        if not sign or Path(item).exists():  # a folder's name may hold one, too
            name, folder = "generic", item
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name) or name in ("rsna", "aisd") or name in found:
            raise ConfigError(
                f"--generic {item}: a source cannot be called {name!r}",
                remedy="Write NAME=DIR with a name of small letters, digits, - and _ for each source.",
            )
        found[name] = Path(folder)
    return found


def _split(arguments: argparse.Namespace) -> int:
    from training.data.index import read_index
    from training.data.leakage import check_no_leak, members
    from training.data.sampling import sample_balanced
    from training.data.split import split_patients, write_split

    studies: Sequence[IndexedStudy] = read_index(arguments.index).studies
    if arguments.per_class is not None:
        studies = sample_balanced(studies, arguments.per_class, seed=arguments.seed)
    train, validation, test = arguments.shares
    split = split_patients(studies, seed=arguments.seed, shares=(train, validation, test))
    check_no_leak(members(studies, split))
    write_split(split, arguments.out)
    _print_split(split, studies)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from training.data.index import read_index
    from training.data.leakage import check_no_leak, members
    from training.data.split import read_split

    studies = read_index(arguments.index).studies
    split = read_split(arguments.split)
    check_no_leak(members(studies, split))
    _print_split(split, studies)
    _say("no patient, study, series, instance, slice, stack (also reversed) or look stands on two sides")
    return 0


def _preprocess(arguments: argparse.Namespace) -> int:
    from training.data.index import Index, read_index
    from training.data.preprocess import Preparation, preprocess
    from training.data.split import read_split

    index = read_index(arguments.index)
    moved = {}
    for item in arguments.root:
        source, _, root = item.partition("=")
        if source not in index.roots or not root:
            raise ConfigError(f"--root {item}", remedy=f"Write SOURCE=DIR; sources are {', '.join(index.roots)}.")
        moved[source] = str(Path(root).resolve())
    index = Index(index.studies, index.roots | moved)
    for source, root in index.roots.items():
        if not Path(root).is_dir():
            raise TrainingError(f"{source} is not at {root}", remedy=f"Say where it is: --root {source}=DIR.")
    how = Preparation(arguments.profile, arguments.dtype, arguments.studies_per_shard)
    count = preprocess(index, read_split(arguments.split), arguments.out, _workers(arguments), preparation=how)
    _say(f"{arguments.out}: {count} slices, {how.profile}, {how.dtype}")
    return 0


def _synth(arguments: argparse.Namespace) -> int:
    from edge_app.simulator import PERSONALITIES, TRAINING_PERSONALITIES, UNSEEN_PERSONALITIES
    from training.data.synth import plan, write_corpus

    groups = {
        "training": TRAINING_PERSONALITIES,
        "unseen": UNSEEN_PERSONALITIES,
        "all": tuple(PERSONALITIES.values()),
        **{name: (personality,) for name, personality in PERSONALITIES.items()},
    }
    unknown = [name for name in arguments.personality if name not in groups]
    if unknown:
        raise ConfigError(f"no scanner personality {unknown[0]!r}", remedy=f"Use one of: {', '.join(sorted(groups))}.")
    scanners = [scanner for name in arguments.personality for scanner in groups[name]]
    orders = plan(arguments.layout, arguments.studies, arguments.seed, scanners, arguments.labels)
    slices = write_corpus(arguments.layout, orders, arguments.out, _workers(arguments))
    _say(f"{arguments.out}: {len(orders)} SYNTHETIC studies, {slices} slices, layout {arguments.layout}")
    return 0


def _print_split(split: Split, studies: Sequence[IndexedStudy]) -> None:
    for side, source, counts in split.table(studies):
        _say(f"{side:<11}{source:<8}" + "".join(f"{name} {count:<7}" for name, count in counts.items()))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
