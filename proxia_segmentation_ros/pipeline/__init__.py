"""The way of a frame: decode, segment, summarise, hand to a sink; nothing here knows of ROS."""
