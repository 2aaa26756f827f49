"""msu-triage, the part that rides in the vehicle: receive, store, analyse, show, deliver.

Importing this package loads nothing heavy; see `edge_app.cli` for the `msu` command.
"""

import os

# ONNX Runtime 1.32 keeps a device identifier and reports its use to its maker over the network, unless this is set
# before it is imported. Nobody but those whom the settings name may hear of this vehicle.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
