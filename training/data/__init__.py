"""Labelled CT data sets: raw folders to one index, a split without leaks, and prepared slices in shards.

Read in this order: `files` (one file), `studies` (files to studies), `rsna`, `aisd` and `generic` (a reader each),
`index` (all of them to one Parquet file), `sampling`, `split`, `leakage` (with `lookalikes`), `preprocess` and
`prepared`. `parallel` runs them on all cores or a Dask cluster, `progress` and `atomic` keep what was finished.
`synth` writes simulator studies in the same layouts. No torch anywhere here.
"""
