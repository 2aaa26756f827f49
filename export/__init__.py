"""Weights to ONNX to bundle to engine."""
