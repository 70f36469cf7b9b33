"""Child processes of a benchmark: what is measured, its baselines and cameras."""
