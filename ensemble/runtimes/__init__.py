"""ONNX Runtime and OpenVINO: int8 quantisation and parity checks."""
