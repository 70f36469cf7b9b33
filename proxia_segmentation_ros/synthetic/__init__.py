"""A synthetic street: endless camera frames with the true class of every pixel."""

from proxia_segmentation_ros.synthetic.street import StreetScene

__all__ = ["StreetScene"]
