"""Checks of untrusted ONNX files before ONNX Runtime loads them."""
