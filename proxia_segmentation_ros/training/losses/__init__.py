"""Losses, and which of them make up the objective."""
