"""Semantic segmentation of camera images for ROS 2 robots.

The package's modules share their import name with the generated ROS messages
(``proxia_segmentation_ros.msg``), which colcon installs elsewhere on ``sys.path``.

Importing the package turns off OpenVINO's usage statistics: a robot sends nothing to anyone.
"""

import sys
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)

# `import openvino` would look up an analytics host and write ~/intel. With None in its place the
# import of openvino_telemetry fails, and OpenVINO uses its own stub.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
