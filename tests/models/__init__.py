"""Models that need PyTorch or ONNX: make test-models."""
