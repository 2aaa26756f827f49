"""Data sets to weights (torch, torchvision). Never imported by the vehicle.

Read in this order: `synthetic` (seeds → shards on disk), `train_image`, `features`, `train_patient`, `evaluate`.
`export.demo_bundle` runs them all.
"""
