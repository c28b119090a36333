"""TensorRT and TensorRT-RTX: engines are built on the machine they run on, and kept for the next time."""
