"""The log of a training run: JSON lines and TensorBoard event files."""
