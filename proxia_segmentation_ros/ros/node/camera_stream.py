"""What happens to one camera's frames: bytes in, labels and what derives from them out.

Every method runs in a worker of the pipeline, for one frame of the camera at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rclpy.clock import Clock
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import InputError, ProxiaError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.objects.summary import Scene, summarize
from proxia_segmentation_ros.pipeline.stream import Stream
from proxia_segmentation_ros.pipeline.timing import Outcome
from proxia_segmentation_ros.render import colorize, draw_overlay
from proxia_segmentation_ros.ros.node.camera_info import read_camera_matrix, scale_camera_info
from proxia_segmentation_ros.ros.node.camera_input import CameraInput
from proxia_segmentation_ros.ros.node.camera_output import CameraOutput
from proxia_segmentation_ros.ros.node.cv_bridge_fallback import convert_with_cv_bridge
from proxia_segmentation_ros.ros.node.messages import make_header, make_image, make_summary
from proxia_segmentation_ros.wire.cdr import read_compressed_image, read_image
from proxia_segmentation_ros.wire.encodings import decode_compressed, decode_depth, decode_image
from proxia_segmentation_ros.wire.limits import RefusedImage

if TYPE_CHECKING:
    # Importing the segmenter imports torch.
    from proxia_segmentation_ros.inference.segmenter import Segmentation


@dataclass(frozen=True, kw_only=True)
class CameraFrame:
    """A decoded image with the header that all its outputs carry.

    `wants_confidence` is whether anybody asked for it when the image was decoded.
    """

    camera: str
    header: Header
    image_HWC: np.ndarray
    wants_confidence: bool

    @property
    def stamp(self) -> tuple[int, int]:
        """Seconds and nanoseconds."""
        return self.header.stamp.sec, self.header.stamp.nanosec


@dataclass
class SharedSettings:
    """The settings in force; replaced by a task of the pipeline, while no frame is under way."""

    value: NodeSettings


@dataclass(frozen=True, kw_only=True)
class ModelRun:
    """How much of the network ran for one frame; `tiles` are those run and all there are."""

    tiles: tuple[int, int] = (0, 0)
    scales: tuple[float, ...] = ()

    @classmethod
    def of(cls, segmentation: "Segmentation") -> "ModelRun":
        """Read it off a result."""
        tiles = segmentation.tiles_run, segmentation.tiles_total
        return cls(tiles=tiles, scales=segmentation.scales)


class CameraStream:
    """Decode and publish the frames of one camera; what labels them is shared by all cameras."""

    def __init__(
        self,
        camera: str,
        settings: SharedSettings,
        label_set: LabelSet,
        source: CameraInput,
        sink: CameraOutput,
        complain: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._camera = camera
        self._settings = settings
        self._label_set = label_set
        self._source = source
        self._sink = sink
        self._complain = complain
        self._clock = clock
        self._is_compressed = settings.value.camera(camera).transport == "compressed"
        self._newest_stamp: tuple[int, int] | None = None
        self.newest_header = Header()
        self.newest_run = ModelRun()
        self.stream: Stream[bytes, CameraFrame, Segmentation] = Stream(
            camera=camera,
            decode=self.decode,
            publish=self.publish,
            follow_up=self.follow_up,
            reject=self.reject,
            age_ms=self.measure_age_ms,
            stages_ms=lambda segmentation: segmentation.stages_ms,
        )

    def decode(self, buffer: bytes) -> CameraFrame:
        """Read a serialised image message.

        Raises:
            InputError: the message or its image is broken, unknown or too large.
        """
        max_pixels = self._settings.value.inference.max_input_pixels
        if self._is_compressed:
            compressed = read_compressed_image(buffer)
            header = make_header(compressed)
            image_HWC = decode_compressed(compressed, max_pixels=max_pixels)
        else:
            message = read_image(buffer)
            header = make_header(message)
            image_HWC = decode_image(
                message, max_pixels=max_pixels, fallback=convert_with_cv_bridge
            )
        frame = CameraFrame(
            camera=self._camera,
            header=header,
            image_HWC=image_HWC,
            wants_confidence=self._wants_confidence(),
        )
        self._notice_time_jump(frame)
        return frame

    def publish(self, frame: CameraFrame, segmentation: "Segmentation") -> None:
        """Send the labels."""
        self._sink.labels.publish(make_image(frame.header, segmentation.labels))
        self.newest_header = frame.header
        self.newest_run = ModelRun.of(segmentation)

    def follow_up(
        self, frame: CameraFrame, segmentation: "Segmentation", stages: StageClock
    ) -> None:
        """Send the calibration, the summary and the pictures that somebody looks at."""
        sink = self._sink
        if segmentation.confidence is not None and sink.confidence.get_subscription_count() > 0:
            sink.confidence.publish(make_image(frame.header, segmentation.confidence))
        info = self._find_info(frame, segmentation)
        if info is not None:
            sink.camera_info.publish(info)
        label_set = self._label_set
        wants_overlay = sink.overlay.get_subscription_count() > 0
        wants_summary = sink.objects.get_subscription_count() > 0
        scene: Scene | None = None
        if wants_summary or (wants_overlay and self._settings.value.overlay.boxes):
            stages.skip()
            scene = self._summarize(frame, segmentation, info)
            if wants_summary:
                sink.objects.publish(make_summary(frame.header, self._camera, label_set, scene))
            stages.mark("objects")
        if sink.colored.get_subscription_count() > 0:
            colored_HWC = colorize(segmentation.labels, label_set)
            sink.colored.publish(make_image(frame.header, colored_HWC))
        if wants_overlay:
            overlay_HWC = self._draw_overlay(frame, segmentation, scene)
            sink.overlay.publish(make_image(frame.header, overlay_HWC))

    def reject(self, error: BaseException) -> Outcome:
        """Complain about a frame that can't be labelled and say how it counts."""
        if isinstance(error, ProxiaError):
            self._complain(str(error))
        else:
            self._complain(f"frame failed with {type(error).__name__}: {error}")
        if isinstance(error, InputError) and not isinstance(error, RefusedImage):
            return "dropped_undecodable"
        return "dropped_refused"

    def measure_age_ms(self, frame: CameraFrame) -> float:
        """Return the time from the image's stamp until now, by the node's clock."""
        seconds, nanoseconds = frame.stamp
        return float(self._clock.now().nanoseconds - nanoseconds - seconds * 10**9) / 1e6

    def _wants_confidence(self) -> bool:
        sink = self._sink
        return sink.confidence.get_subscription_count() > 0 or (
            self._settings.value.objects.with_confidence
            and sink.objects.get_subscription_count() > 0
        )

    def _notice_time_jump(self, frame: CameraFrame) -> None:
        previous, self._newest_stamp = self._newest_stamp, frame.stamp
        if previous is not None and frame.stamp < previous:
            jump_s = previous[0] - frame.stamp[0] + (previous[1] - frame.stamp[1]) / 1e9
            self._complain(
                f"image stamps jumped back by {jump_s:.3f} s; expected time "
                "to go on; nothing to do when a bag or simulation started over"
            )

    def _find_info(self, frame: CameraFrame, segmentation: "Segmentation") -> CameraInfo | None:
        info = self._source.find_info(frame.stamp, frame.header.frame_id)
        if info is None:
            return None
        height, width = segmentation.labels.shape
        try:
            return scale_camera_info(info, frame.header, (height, width))
        except (ArithmeticError, AssertionError, ValueError) as error:
            # Labels and objects do not depend on the calibration: they go out without it.
            self._complain(f"camera info: {error or type(error).__name__}")
            return None

    def _summarize(
        self, frame: CameraFrame, segmentation: "Segmentation", info: CameraInfo | None
    ) -> Scene:
        settings = self._settings.value.objects
        return summarize(
            segmentation,
            self._label_set,
            min_area_px=settings.min_area_px,
            max_per_class=settings.max_per_class if settings.enabled else 0,
            depth_m_HW=self._find_depth(frame) if settings.enabled else None,
            camera_matrix=None if info is None else read_camera_matrix(info),
        )

    def _find_depth(self, frame: CameraFrame) -> np.ndarray | None:
        message = self._source.depths.find(frame.stamp)
        if message is None:
            return None
        try:
            max_pixels = self._settings.value.inference.max_input_pixels
            return decode_depth(message, max_pixels=max_pixels)
        except InputError as error:
            # Labels do not depend on depth: the objects go out without it.
            self._complain(f"depth: {error}")
            return None

    def _draw_overlay(
        self, frame: CameraFrame, segmentation: "Segmentation", scene: Scene | None
    ) -> np.ndarray:
        settings = self._settings.value.overlay
        classes = scene.classes if scene is not None and settings.boxes else ()
        boxes = [(*one.box_xywh, group.class_id) for group in classes for one in group.objects]
        return draw_overlay(
            frame.image_HWC,
            segmentation.labels,
            self._label_set,
            alpha=settings.alpha,
            boxes=boxes,
            max_width=settings.max_width,
        )
