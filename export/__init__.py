"""Weights to ONNX, and ONNX to a bundle that the vehicle loads."""
