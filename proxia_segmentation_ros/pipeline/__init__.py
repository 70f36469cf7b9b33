"""The frame pipeline: decode, segment, summarise, publish to a sink. Independent of ROS."""
