"""Checkpoints of NVIDIA/semantic-segmentation and mmsegmentation, read as weights of this package."""
