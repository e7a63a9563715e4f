"""The networks in PyTorch, for training. Painting never imports this package; it runs the exported ONNX graphs."""
