"""Defaults and ranges that both a command and the settings of its app need.

The command shows them in `--help`, which has to be instant, so this module imports nothing.
"""

# proxia segment and evaluate; a test compares it with the node's
TILE_THRESHOLD = 0.04

# proxia segment
OUTPUT_KINDS = ("overlay", "colored", "labels")
OVERLAY_ALPHA = 0.5

# proxia evaluate
WORST_IMAGES = 12
# A page with more images takes long to load.
MAX_WORST_IMAGES = 40

# proxia demo
DEMO_OUT = "build/demo"
DEMO_SECONDS = 15.0
MIN_DEMO_SECONDS, MAX_DEMO_SECONDS = 1, 40

# proxia play
SOURCE = "synthetic"
IMAGE_TOPIC = "image"
CAMERA_FRAME_ID = "camera_optical_frame"
NODE_TO_WAIT_FOR = "/proxia"

# proxia quantise
CALIBRATION_IMAGES = 100
MAX_LOST_POINTS = 0.5
