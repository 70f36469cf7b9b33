"""A synthetic street: endless camera frames with ground truth for every pixel."""

from proxia_segmentation_ros.synthetic.street import StreetScene

__all__ = ["StreetScene"]
