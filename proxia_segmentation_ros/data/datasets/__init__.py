"""Data sets by name: the locations of their images and masks."""
