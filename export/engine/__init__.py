"""From an ONNX network to a proven TensorRT engine. Free of torch: this part runs on the device."""
