"""The command `proxia benchmark`."""
