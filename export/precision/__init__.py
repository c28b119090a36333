"""Reduced precision, written into the ONNX graph itself: half precision by casts, 8-bit integers by Q/DQ."""
