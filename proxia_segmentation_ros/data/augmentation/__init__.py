"""Random crops, colours, light and copies of training pairs."""
