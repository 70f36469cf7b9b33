"""The tasks of the `proxia` commands: play, demo, segment, evaluate, weights, engines."""
