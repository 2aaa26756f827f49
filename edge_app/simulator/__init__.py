"""Synthetic head CT studies, and a scanner that pushes them.

The studies come from a seed: `make_study` draws a patient, a lesion and a scanner, `to_datasets` and `write_study`
make DICOM objects of it, and `edge_app.simulator.scu.send` pushes these, or any other DICOM files, to a peer.
"""

from __future__ import annotations
