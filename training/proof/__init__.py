"""What the training code claims, shown on SYNTHETIC studies: ``python -m training.proof --out DIR``.

One file for each claim, and one corpus for all of them: `corpus` simulates it in the layouts of RSNA and AISD, `ready`
holds what several claims need, and `__main__` runs all and writes ``proof.json`` and ``proof.html``.
"""
