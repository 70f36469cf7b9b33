"""Semantic segmentation of camera images for ROS 2 robots.

The package's modules share their import name with the generated ROS messages
(``proxia_segmentation_ros.msg``), which colcon installs elsewhere on ``sys.path``.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
