"""Random augmentation of training pairs."""
