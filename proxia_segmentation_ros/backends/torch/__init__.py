"""The PyTorch backend, which runs everywhere."""
