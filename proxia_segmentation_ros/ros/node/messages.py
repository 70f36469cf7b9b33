"""Turn results into ROS messages. Every one carries the header it is given, bit for bit.

Legend: H, W height and width of the label image, C colour channels.
"""

import sys
from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.msg import ClassSummary, ObjectSummary, SceneSummary, StreamStats
from proxia_segmentation_ros.objects.summary import Scene, SceneObject
from proxia_segmentation_ros.pipeline.timing import LedgerCounts, StreamTimes
from proxia_segmentation_ros.wire.cdr import CompressedImageMessage, ImageMessage

ENCODINGS = {(2, "uint8"): "mono8", (2, "uint16"): "mono16", (3, "uint8"): "rgb8"}


def make_header(message: ImageMessage | CompressedImageMessage) -> Header:
    """Copy an input's stamp and frame."""
    stamp = Time(sec=message.stamp_sec, nanosec=message.stamp_nanosec)
    return Header(stamp=stamp, frame_id=message.frame_id)


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
    # Assigning an array goes element by element; appending its bytes to the fresh one does not.
    message.data.frombytes(pixels.data.cast("B"))
    return message


def make_label_info(header: Header, label_set: LabelSet, min_confidence: float) -> LabelInfo:
    """Name the ids of the label image."""
    class_map = [VisionClass(class_id=one.id, class_name=one.name) for one in label_set.classes]
    return LabelInfo(header=header, class_map=class_map, threshold=min_confidence)


def make_summary(header: Header, camera: str, label_set: LabelSet, scene: Scene) -> SceneSummary:
    """Describe the classes and objects of one label image."""
    return SceneSummary(
        header=header,
        camera=camera,
        label_set=label_set.name,
        image_width=scene.width,
        image_height=scene.height,
        unlabeled_fraction=scene.unlabeled_fraction,
        classes=[
            ClassSummary(
                class_id=one.class_id,
                class_name=one.class_name,
                pixel_count=one.pixel_count,
                area_fraction=one.area_fraction,
                mean_confidence=one.mean_confidence,
                objects=_make_objects(one.objects),
            )
            for one in scene.classes
        ],
    )


def _make_objects(objects: Iterable[SceneObject]) -> list[ObjectSummary]:
    messages = []
    for one in objects:
        left, top, width, height = one.box_xywh
        x, y, z = one.position_xyz
        centroid_x, centroid_y = one.centroid_xy
        messages.append(
            ObjectSummary(
                track_id=one.track_id,
                pixel_count=one.pixel_count,
                box=RegionOfInterest(x_offset=left, y_offset=top, width=width, height=height),
                centroid_x=centroid_x,
                centroid_y=centroid_y,
                mean_confidence=one.mean_confidence,
                touches_border=one.touches_border,
                depth_m=one.depth_m,
                position=Point(x=x, y=y, z=z),
            )
        )
    return messages


def make_stats(
    header: Header,
    camera: str,
    counts: LedgerCounts,
    times: StreamTimes,
    backend: str,
    precision: str,
    tiles: tuple[int, int],
) -> StreamStats:
    """Report one camera's counters and last second; `tiles` are those run and all there are."""
    return StreamStats(
        header=header,
        camera=camera,
        received=counts.received,
        labelled=counts.labelled,
        dropped_replaced=counts.dropped_replaced,
        dropped_stale=counts.dropped_stale,
        dropped_undecodable=counts.dropped_undecodable,
        dropped_refused=counts.dropped_refused,
        dropped_paused=counts.dropped_paused,
        rate_hz=times.rate_hz,
        latency_ms=times.latency_ms,
        age_ms=times.age_ms,
        inference_ms=times.inference_ms,
        backend=backend,
        precision=precision,
        tiles_run=tiles[0],
        tiles_total=tiles[1],
    )
