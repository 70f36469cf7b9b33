"""Attention-pruned inference: of the larger scales only the tiles that are needed."""
