"""Parts of the architectures' names, and the rule of their scales. Free of torch."""

from collections.abc import Sequence

# Architectures that end in it fuse several scales of the image.
MULTI_SCALE_SUFFIX = "_mscale"

SCALES_RULE = "positive numbers that hold 1.0"


def follow_scales_rule(scales: Sequence[float]) -> bool:
    """Tell whether these can be the scales of a network: `SCALES_RULE`."""
    return 1.0 in scales and all(scale > 0 for scale in scales)
