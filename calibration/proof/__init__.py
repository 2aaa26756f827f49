"""What is claimed of export and calibration, measured: ``python -m calibration.proof --out DIR``.

`export_one` is one family's export in a process of its own; `networks` trains a big network on SYNTHETIC slices for as
long as the machine allows; `int8` quantises it and times it against FP32; `kept` is what a stopped run goes on from;
`__main__` runs all and writes ``proof.json`` and ``proof.html``.
"""
