"""The workstation side: official checkpoints in, verified model bundles out (needs torch and onnx)."""
