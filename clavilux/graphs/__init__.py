"""ONNX files of a bundle, read and checked before ONNX Runtime sees them."""
