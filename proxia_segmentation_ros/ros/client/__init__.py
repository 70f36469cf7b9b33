"""ROS clients of the node: player, listener, lifecycle probe, and processes they start."""
