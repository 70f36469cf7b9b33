"""Checkpoints of other systems, under our names and with a card."""
