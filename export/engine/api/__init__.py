"""What the real TensorRT bindings offer, by version: recorded by `record`, read by `surface` and the tests."""
