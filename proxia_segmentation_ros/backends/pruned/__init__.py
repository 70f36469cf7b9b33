"""Attention-pruned inference: run only those tiles of larger scales that change the result."""
