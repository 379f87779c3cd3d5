"""Runtime of exported models: from a file to its results by NumPy and ONNX Runtime, without PyTorch and MONAI."""
