"""Publishers of one camera: the sink that turns results into ROS messages.

Every message has the stamp and frame_id of its image, unchanged.

Legend: H, W height and width of the label image, C colour channels.
"""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.msg import ClassSummary, ObjectSummary, SceneSummary, StreamStats
from proxia_segmentation_ros.objects.summary import Scene, SceneObject
from proxia_segmentation_ros.pipeline.sink import Demand, Frame, Geometry, SharedSettings, Stamp
from proxia_segmentation_ros.render import colorize, draw_overlay
from proxia_segmentation_ros.ros.qos import (
    allow_overrides,
    create_watched,
    make_qos,
    watch_publisher,
)

if TYPE_CHECKING:
    # Importing the segmenter takes time.
    from proxia_segmentation_ros.inference.segmenter import Segmentation

ENCODINGS = {(2, "uint8"): "mono8", (2, "uint16"): "mono16", (3, "uint8"): "rgb8"}


class CameraOutput:
    """Publishers under `~/`, or under `~/<camera>/` if there are several cameras.

    Implements the `Sink` of the camera's stream. All outputs but the labels are computed only if
    their topic has a subscriber.
    """

    def __init__(
        self,
        node: LifecycleNode,
        camera: str,
        prefix: str,
        settings: SharedSettings,
        label_set: LabelSet,
        report: Callable[[str], None],
    ) -> None:
        self._node = node
        self._camera = camera
        self._prefix = prefix
        self._settings = settings
        self._label_set = label_set
        self._report = report
        self._publishers: list[Any] = []
        try:
            self.labels = self._create(Image, "labels")
            self.label_info = self._create(LabelInfo, "label_info", is_latched=True)
            self.confidence = self._create(Image, "confidence")
            self.overlay = self._create(Image, "overlay")
            self.colored = self._create(Image, "colored")
            self.objects = self._create(SceneSummary, "objects")
            self.camera_info = self._create(CameraInfo, "camera_info")
            self.stats = self._create(StreamStats, "stats")
            self.heartbeat = self._create(Header, "heartbeat")
        except Exception:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Destroy the publishers."""
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.pop())

    def read_demand(self) -> Demand:
        """Return the outputs that have subscribers now."""
        has_summary = _is_wanted(self.objects)
        has_confidence = _is_wanted(self.confidence)
        with_confidence = has_summary and self._settings.value.objects.with_confidence
        return Demand(
            confidence=with_confidence or has_confidence,
            confidence_image=has_confidence,
            summary=has_summary,
            colored=_is_wanted(self.colored),
            overlay=_is_wanted(self.overlay),
        )

    def send_labels(self, frame: Frame, segmentation: "Segmentation") -> None:
        """Publish the label image."""
        header = make_header(frame.stamp, frame.frame_id)
        self.labels.publish(make_image(header, segmentation.labels))

    def send_aligned(self, frame: Frame, segmentation: "Segmentation", geometry: Geometry) -> None:
        """Publish confidence and calibration."""
        if frame.demand.confidence_image and segmentation.confidence is not None:
            header = make_header(frame.stamp, frame.frame_id)
            self.confidence.publish(make_image(header, segmentation.confidence))
        if geometry.calibration is not None:
            self.camera_info.publish(geometry.calibration)

    def send_summary(self, frame: Frame, scene: Scene) -> None:
        """Publish the object summary."""
        header = make_header(frame.stamp, frame.frame_id)
        self.objects.publish(make_summary(header, self._camera, self._label_set, scene))

    def send_pictures(
        self, frame: Frame, segmentation: "Segmentation", scene: Scene | None
    ) -> None:
        """Publish class colours and overlay."""
        header = make_header(frame.stamp, frame.frame_id)
        if frame.demand.colored:
            colored_HWC = colorize(segmentation.labels, self._label_set)
            self.colored.publish(make_image(header, colored_HWC))
        if frame.demand.overlay:
            overlay_HWC = self._draw_overlay(frame, segmentation, scene)
            self.overlay.publish(make_image(header, overlay_HWC))

    def _draw_overlay(
        self, frame: Frame, segmentation: "Segmentation", scene: Scene | None
    ) -> np.ndarray:
        settings = self._settings.value.overlay
        classes = scene.classes if scene is not None and settings.boxes else ()
        boxes = [(*thing.box_xywh, group.class_id) for group in classes for thing in group.objects]
        return draw_overlay(
            frame.image_HWC,
            segmentation.labels,
            self._label_set,
            alpha=settings.alpha,
            boxes=boxes,
            max_width=settings.max_width,
        )

    def _create(self, message_type: Any, leaf: str, is_latched: bool = False) -> Any:
        name = f"{self._prefix}{leaf}"
        topic = self._node.resolve_topic_name(name)
        publisher = create_watched(
            lambda events: self._node.create_lifecycle_publisher(
                message_type,
                name,
                make_qos(is_latched=is_latched),
                event_callbacks=events,
                qos_overriding_options=allow_overrides(),
            ),
            watch_publisher(self._node, topic, self._report),
        )
        self._publishers.append(publisher)
        return publisher


def _is_wanted(publisher: Any) -> bool:
    return bool(publisher.get_subscription_count() > 0)


def make_header(stamp: Stamp, frame_id: str) -> Header:
    """Return the header for all results of a frame."""
    return Header(stamp=Time(sec=stamp[0], nanosec=stamp[1]), frame_id=frame_id)


def make_image(header: Header, pixels: np.ndarray) -> Image:
    """Wrap (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, without row padding."""
    pixels = np.ascontiguousarray(pixels)
    message = Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=ENCODINGS[pixels.ndim, pixels.dtype.name],
        is_bigendian=sys.byteorder == "big",
        step=pixels.strides[0],
    )
    # One memcpy into the empty array; rclpy would convert an assigned array element by element.
    message.data.frombytes(pixels.data.cast("B"))
    return message


def make_summary(header: Header, camera: str, label_set: LabelSet, scene: Scene) -> SceneSummary:
    """Return the message for the classes and objects of one label image."""
    return SceneSummary(
        header=header,
        camera=camera,
        label_set=label_set.name,
        image_width=scene.width,
        image_height=scene.height,
        unlabeled_fraction=scene.unlabeled_fraction,
        classes=[
            ClassSummary(
                class_id=group.class_id,
                class_name=group.class_name,
                pixel_count=group.pixel_count,
                area_fraction=group.area_fraction,
                mean_confidence=group.mean_confidence,
                objects=_make_objects(group.objects),
            )
            for group in scene.classes
        ],
    )


def _make_objects(objects: Iterable[SceneObject]) -> list[ObjectSummary]:
    messages = []
    for item in objects:
        left, top, width, height = item.box_xywh
        x, y, z = item.position_xyz
        centroid_x, centroid_y = item.centroid_xy
        messages.append(
            ObjectSummary(
                track_id=item.track_id,
                pixel_count=item.pixel_count,
                box=RegionOfInterest(x_offset=left, y_offset=top, width=width, height=height),
                centroid_x=centroid_x,
                centroid_y=centroid_y,
                mean_confidence=item.mean_confidence,
                touches_border=item.touches_border,
                depth_m=item.depth_m,
                position=Point(x=x, y=y, z=z),
            )
        )
    return messages
