"""msu-triage, the part that rides in the vehicle: receive, store, analyse, show, deliver.

Importing this package loads nothing heavy; see `edge_app.cli` for the `msu` command.
"""
