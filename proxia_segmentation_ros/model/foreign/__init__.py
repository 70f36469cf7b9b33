"""Checkpoints of NVIDIA/semantic-segmentation and mmsegmentation, read as our weights."""
