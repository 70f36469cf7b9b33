"""What a run writes of itself."""
