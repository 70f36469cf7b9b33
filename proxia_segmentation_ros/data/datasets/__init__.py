"""Data sets by name: where their images and masks lie."""
