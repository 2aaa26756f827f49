"""Data sets to weights (torch, torchvision). Never imported by the vehicle.

What `msu train` does, in this order: `run_image` (prepared slices to an image network), `feature_cache`, `run_patient`,
and `run_evaluate` with what it asks: `opening` (the test split, once), `evaluate` and `bootstrap`, `reliability`,
`operating`, `source_probe` and `shortcuts`, `worst_cases`, and the report. `training.data` makes the slices.

The demo bundle goes a shorter way: `synthetic` (seeds → shards on disk), `train_image`, `features`, `train_patient`,
`evaluate`; `export.demo_bundle` runs them all.
"""
