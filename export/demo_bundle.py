"""The demo bundle from nothing: ``python -m export.demo_bundle --out edge_app/bundles/demo --work demo-bundle-work``.

Simulated studies → image network → slice features → patient network → ONNX → test → bundle. The test studies come
from scanners that training never saw, and are judged through the exported networks and the vehicle's own predictors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from tqdm import tqdm

from edge_app.core.clock import monotonic_s, utc_now
from edge_app.core.errors import MsuError
from edge_app.inference.manifest import IMAGE_FILE, PATIENT_FILE, Calibration, ImageModel, Manifest, PatientModel
from edge_app.inference.predict import ImagePredictor, PatientPredictor
from edge_app.inference.select import open_network
from edge_app.inference.signature import DEVELOPMENT_KEY
from edge_app.preprocessing import get_profile
from edge_app.simulator import PERSONALITIES
from export.bundle import describe_bundle, make_bundle
from export.facts import network_facts
from export.onnx_export import ExportCheck, export_image_model, export_patient_model
from training import augment, calibrate, image_model, patient_model, targets, train_image
from training.commit import producer_commit
from training.evaluate import Thresholds, evaluate_studies
from training.features import extract_features
from training.heat_gate import judge_heat_maps
from training.novelty import choose_distance_threshold
from training.shards import StudySet, class_counts
from training.synthetic import MAX_SLICES, PROFILE, REFORMATTED, make_split
from training.train_patient import PatientRecipe, predict_patients, train_patient

__all__ = ["Networks", "main", "train_networks"]

GOAL_ACCURACY = 0.95
MAX_BYTES = 8 << 20

NAME, VERSION = "msu-demo", "1.4.0"
BOTH = (
    f"none, but {PatientRecipe().both:.0%} of the patient network's studies get slices of another class's in training"
)
SHRINK = 2
"""The demo network sees 2 mm pixels: enough for the lesions simulated, at a quarter of the cost."""


@dataclass(frozen=True, eq=False, slots=True)
class Networks:
    """Both networks, trained, with everything that was chosen on validation studies."""

    image: image_model.ImageModel
    patient: patient_model.PatientModel
    thresholds: Thresholds
    calibration: Calibration
    validation: dict[str, object]
    heat_map: dict[str, object]
    """Whether the image network's maps find lesions, on validation studies."""
    log: dict[str, list[dict[str, float]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the demo bundle; return 0 only if it is good enough to ship."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    started_s = monotonic_s()
    torch.set_num_threads(options.processes)
    torch.use_deterministic_algorithms(True)
    try:
        train = make_split("train", options.studies[0], options.work, processes=options.processes)
        validation = make_split("validation", options.studies[1], options.work, processes=options.processes)
        console.print(f"studies made after {monotonic_s() - started_s:.0f} s")
        networks = train_networks(train, validation, options.image_epochs, options.work)
        console.print(f"networks trained after {monotonic_s() - started_s:.0f} s")
        facts = network_facts(PROFILE, commit=producer_commit(), synthetic=True, labels="findings")
        image = export_image_model(networks.image, _sample(validation), options.work / IMAGE_FILE, facts)
        patient = export_patient_model(
            networks.patient, networks.image.features + 3, options.work / PATIENT_FILE, facts
        )
        console.print(f"torch and ONNX differ by {image.max_difference:.1e} and {patient.max_difference:.1e} at most")
        draft = _describe(networks, train, validation)
        test = make_split("test", options.studies[2], options.work, processes=options.processes)
        probabilities, distances = vehicle_scores(draft, image, patient, test)
        tested = evaluate_studies(test.records, probabilities, distances, networks.thresholds)
        evaluation = {"validation": networks.validation, "test": tested, "heat_map": networks.heat_map}
        manifest = make_bundle(
            options.out,
            draft.model_copy(update={"evaluation": evaluation}),
            image.path.read_bytes(),
            patient.path.read_bytes(),
            key=DEVELOPMENT_KEY,
        )
    except MsuError as error:
        console.print(str(error), style="red")
        return error.exit_code
    _write_log(options.work, networks, test, probabilities, distances)
    size = sum(path.stat().st_size for path in options.out.iterdir())
    accuracy, decided = tested["accuracy"]["value"], tested["decision_accuracy"]["value"]  # type: ignore[index]
    console.print(
        f"{manifest.name} {manifest.version} in {options.out}: {size / 1e6:.1f} MB, {tested['n']} unseen studies, "
        f"accuracy {accuracy:.3f}, by the decision rule {decided:.3f}, {monotonic_s() - started_s:.0f} s in all"
    )
    good = min(accuracy, decided) >= GOAL_ACCURACY and size <= MAX_BYTES
    if not good:
        console.print(f"not good enough: at least {GOAL_ACCURACY} and at most {MAX_BYTES} bytes", style="red")
    return 0 if good else 1


def image_network(
    train: StudySet, validation: StudySet, epochs: int, work: Path
) -> tuple[image_model.ImageModel, list[dict[str, float]]]:
    """Train the image network, or read it where this very recipe has trained it on these studies; with its log.

    It takes half of the time: a run that was broken off afterwards need not do it again.
    """
    # Without matrix units (AMX) bfloat16 is a quarter slower than float32, even where AVX-512 knows it.
    recipe = replace(train_image.ImageRecipe(), epochs=epochs, bfloat16=torch.cpu._is_amx_tile_supported())
    digest = hashlib.sha256(
        repr((recipe, SHRINK, torch.__version__, train.folder.name, validation.folder.name)).encode()
    )
    for module in (augment, image_model, targets, train_image):
        digest.update(Path(str(module.__file__)).read_bytes())
    kept = work / f"image-{digest.hexdigest()[:12]}.pt"
    torch.manual_seed(recipe.seed)
    model = image_model.ImageModel(shrink=SHRINK)
    if kept.exists():
        known = torch.load(kept, weights_only=True)
        model.load_state_dict(known["weights"])
        return model.eval(), known["log"]
    widths_hu = tuple(window.width_hu for window in get_profile(PROFILE).windows)
    log = train_image.train_image(model, train, validation, widths_hu, recipe)
    torch.save({"weights": model.state_dict(), "log": log}, kept.with_suffix(".part"))
    kept.with_suffix(".part").replace(kept)
    return model, log


def train_networks(train: StudySet, validation: StudySet, image_epochs: int, work: Path) -> Networks:
    """Train both networks, and choose calibration and thresholds on validation studies."""
    image, image_log = image_network(train, validation, image_epochs, work)
    known, held_out = extract_features(image, train), extract_features(image, validation)
    torch.manual_seed(PatientRecipe().seed)
    patient = patient_model.PatientModel(image.features + 3, labels="findings")
    patient_log = train_patient(patient, known, held_out, PatientRecipe())

    logits, distances = predict_patients(patient, held_out)
    labels = held_out.labels()
    calibration = calibrate.fit_calibration(logits, targets.study_targets(held_out.records, patient.labels))
    probabilities = calibrate.calibrated(logits, calibration)
    points = {
        "hemorrhage": calibrate.choose_operating_point(probabilities[:, 1], labels == 1),
        "ischemic": calibrate.choose_operating_point(probabilities[:, 2], labels == 2),
    }
    shown = np.flatnonzero(validation.labels > 0)
    thresholds = Thresholds(points, choose_distance_threshold(known, held_out, patient))  # type: ignore[arg-type]
    return Networks(
        image,
        patient,
        thresholds,
        calibration.model_copy(update={"reliability": calibrate.reliability_bins(probabilities[:, 1], labels == 1)}),
        evaluate_studies(held_out.records, probabilities, distances.numpy().astype(np.float64), thresholds),
        judge_heat_maps(image, validation, shown, [str(validation.study_of_slice[number]) for number in shown]),
        {"image": image_log, "patient": patient_log},
    )


def vehicle_scores(
    manifest: Manifest, image: ExportCheck, patient: ExportCheck, data: StudySet
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return probabilities (studies, 3) and distances (studies,) as the vehicle computes them, slice by slice."""
    probabilities, distances = [], []
    with (
        open_network(image.path.read_bytes()) as image_network,
        open_network(patient.path.read_bytes()) as patient_network,
    ):
        slices, studies = ImagePredictor(image_network, manifest), PatientPredictor(patient_network, manifest)
        for number, record in enumerate(tqdm(data.records, desc="test studies, through ONNX")):
            members = np.flatnonzero(data.study_of_slice == number)
            inputs = data.inputs(members).astype(np.float32) / 255.0
            answer = studies.predict(slices.predict(inputs, [str(i) for i in members]), record.positions_mm)
            probabilities.append(list(answer.probabilities.values()))
            distances.append(answer.distance)
    return np.asarray(probabilities), np.asarray(distances)


def _describe(networks: Networks, train: StudySet, validation: StudySet) -> Manifest:
    return describe_bundle(
        name=NAME,
        version=VERSION,
        created=utc_now(),
        synthetic=True,
        profile=PROFILE,
        image=ImageModel(
            architecture=f"{networks.image.architecture}, pixels {SHRINK} mm",
            features=networks.image.features,
            labels="findings",
        ),
        patient=PatientModel(
            architecture="bidirectional GRU, 2 layers, at levels 5 mm apart, masked attention pooling",
            max_slices=MAX_SLICES,
            labels="findings",
            distance_threshold=round(networks.thresholds.distance, 4),
        ),
        operating_points=networks.thresholds.operating_points,
        calibration=networks.calibration,
        training={
            "source": "simulated head CT (edge_app.simulator)",
            "studies": class_counts(train.study_labels()),
            "validation_studies": class_counts(validation.study_labels()),
            "slices": class_counts(train.labels),
            "scanners": sorted({record.personality for record in train.records}),
            "scanner_variation": "noise, kernel, slice thickness and field of view differ from study to study; "
            f"{REFORMATTED:.0%} of the studies are reformatted",
            "split": "seeds of training, validation and test are disjoint; test scanners are never trained on",
            "patients_with_both_findings": BOTH,
            "selection": "weights, calibration and thresholds on validation; the test split is opened once",
        },
        evaluation={},
        validated_scanners=[f"{p.manufacturer} | {p.model} | {p.kernel}" for p in PERSONALITIES.values()],
    )


def _sample(data: StudySet, count: int = 24) -> NDArray[np.float32]:
    """Return slices of all classes and heights to compare the networks on."""
    chosen = np.linspace(0, len(data) - 1, count).round().astype(np.int64)
    return np.ascontiguousarray(data.inputs(chosen).astype(np.float32) / 255.0)


def _write_log(
    work: Path, networks: Networks, test: StudySet, probabilities: NDArray[np.float64], distances: NDArray[np.float64]
) -> None:
    rows = [
        {"seed": r.seed, "label": r.label, "scanner": r.personality, "lesion": r.lesion, "volume_ml": r.volume_ml,
         "delta_hu": r.delta_hu, "probabilities": [round(v, 4) for v in p], "distance": round(float(d), 4)}
        for r, p, d in zip(test.records, probabilities.tolist(), distances, strict=True)
    ]  # fmt: skip
    (work / "log.json").write_text(json.dumps({**networks.log, "test": rows}, indent=1), encoding="utf-8")
    torch.save(networks.image.state_dict(), work / "image.pt")
    torch.save(networks.patient.state_dict(), work / "patient.pt")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export.demo_bundle", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder, replaced")
    parser.add_argument("--work", type=Path, required=True, help="folder for studies, logs and weights; kept")
    parser.add_argument(
        "--studies", type=int, nargs=3, default=(100, 64, 100), metavar=("TRAIN", "VALIDATION", "TEST"),
        help="studies per class of each split (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--image-epochs", type=int, default=6, help="(default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="cores to use (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
