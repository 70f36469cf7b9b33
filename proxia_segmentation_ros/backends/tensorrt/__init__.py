"""The TensorRT backend for NVIDIA GPUs, by torch-tensorrt."""
