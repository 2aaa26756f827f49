"""Synthetic head CT studies, and a scanner that pushes them.

The studies come from a seed: `make_study` draws a patient, a lesion and a scanner, `to_datasets` and `write_study`
make DICOM objects of it, and `send` pushes these, or any other DICOM files, to a peer.
"""

from __future__ import annotations

from edge_app.simulator.dicom import to_datasets, write_study
from edge_app.simulator.imaging import Artefacts
from edge_app.simulator.lesions import HAEMORRHAGES, LesionKind
from edge_app.simulator.scanner import PERSONALITIES, TRAINING_PERSONALITIES, UNSEEN_PERSONALITIES, Personality
from edge_app.simulator.scu import Peer, SendReport, send
from edge_app.simulator.study import LABELS, Label, LesionTruth, SyntheticStudy, make_study

__all__ = [
    "HAEMORRHAGES",
    "LABELS",
    "PERSONALITIES",
    "TRAINING_PERSONALITIES",
    "UNSEEN_PERSONALITIES",
    "Artefacts",
    "Label",
    "LesionKind",
    "LesionTruth",
    "Peer",
    "Personality",
    "SendReport",
    "SyntheticStudy",
    "make_study",
    "send",
    "to_datasets",
    "write_study",
]
