"""FP32 to FP16 and INT8 on a workshop machine: precision is written into the ONNX graph and judged before it is used.

Read in this order: `run` (the flow), `slices`, `ranges` and `largest` (what is measured), `quantise` and `half` (what
is written), `choose` and `sensitivity` (which layers), `report`; `proof` measures what is claimed of it.
"""
