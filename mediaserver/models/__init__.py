"""Model files: download, selection, conversion to ONNX, and Triton's model repositories."""
