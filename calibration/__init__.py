"""FP32 ONNX to FP16 and INT8, with an accuracy gate."""
