"""The TensorRT backend for NVIDIA GPUs, based on torch-tensorrt."""
