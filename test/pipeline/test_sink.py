"""The steps of a camera's stream, seen from the sink that they hand their results to."""

from typing import Any

import numpy as np
import pytest

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.inference.segmenter import Segmentation
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.objects.summary import Scene
from proxia_segmentation_ros.pipeline.mailbox import PendingFrame
from proxia_segmentation_ros.pipeline.sink import (
    DecodedImage,
    Demand,
    Frame,
    Geometry,
    SharedSettings,
)
from proxia_segmentation_ros.pipeline.stream import (
    CameraStream,
    decode_message,
    process_frame,
    process_frames,
)
from proxia_segmentation_ros.wire.cdr import ImageMessage, write_image
from proxia_segmentation_ros.wire.limits import RefusedImage

SIZE_HW = (24, 32)
ALL = Demand(confidence=True, confidence_image=True, summary=True, colored=True, overlay=True)


class RecordingSink:
    """Writes down what it is given; `breaks` names the call that raises."""

    def __init__(self, demand: Demand, breaks: str = "") -> None:
        self.demand = demand
        self.breaks = breaks
        self.calls: list[str] = []
        self.frames: list[Frame] = []
        self.scene: Scene | None = None
        self.geometry: Geometry | None = None

    def _record(self, name: str) -> None:
        self.calls.append(name)
        if name == self.breaks:
            raise ValueError(f"{name} broke")

    def read_demand(self) -> Demand:
        self._record("demand")
        return self.demand

    def send_labels(self, frame: Frame, segmentation: Segmentation) -> None:
        self.frames.append(frame)
        self._record("labels")

    def send_aligned(self, frame: Frame, segmentation: Segmentation, geometry: Geometry) -> None:
        self.geometry = geometry
        self._record("aligned")

    def send_summary(self, frame: Frame, scene: Scene) -> None:
        self.scene = scene
        self._record("summary")

    def send_pictures(self, frame: Frame, segmentation: Segmentation, scene: Scene | None) -> None:
        self.scene = scene
        self._record("pictures")


class Camera:
    """A stream with a recording sink; labels are 3 on the left and 8 on the right."""

    def __init__(
        self,
        demand: Demand = ALL,
        breaks: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self.settings = SharedSettings(NodeSettings.from_flat(parameters or {}))
        self.sink = RecordingSink(demand, breaks)
        self.reported: list[str] = []
        self.stream = CameraStream(
            "front",
            self.settings,
            load_label_set("camvid"),
            self.sink,
            decode=self.decode,
            report=self.reported.append,
            find_geometry=lambda _frame, size_hw: Geometry(calibration=size_hw),
            now_ns=lambda: 5_000_000_000,
        )

    def decode(self, payload: Any) -> DecodedImage:
        if isinstance(payload, Exception):
            raise payload
        image_HWC = np.zeros((*SIZE_HW, 3), np.uint8)
        return DecodedImage(image_HWC=image_HWC, stamp=payload, frame_id="lens", attachment="mine")

    def segment(self, frames: Any) -> list[Segmentation]:
        labels_HW = np.full(SIZE_HW, 3, np.uint8)
        labels_HW[:, 16:] = 8
        return [Segmentation(labels_HW, None, SIZE_HW, 2, 5, (0.5, 1.0)) for _ in frames]

    def play(self, payload: Any) -> None:
        self.stream.ledger.receive()
        pending = PendingFrame(camera="front", payload=payload, received_s=0.0)
        process_frames([(self.stream, pending)], self.segment, lambda: 1.0)


def test_results_come_in_order_and_the_demand_is_read_once() -> None:
    camera = Camera()
    camera.play((4, 5))
    assert camera.sink.calls == ["demand", "labels", "aligned", "summary", "pictures"]
    (frame,) = camera.sink.frames
    assert (frame.camera, frame.stamp, frame.frame_id) == ("front", (4, 5), "lens")
    assert (frame.demand, frame.attachment) == (ALL, "mine")
    assert camera.sink.geometry == Geometry(calibration=SIZE_HW)
    assert camera.sink.scene is not None
    assert {found.class_name for found in camera.sink.scene.classes} == {"road", "car"}


def test_published_frame_is_known_without_its_pixels() -> None:
    camera = Camera()
    assert camera.stream.newest.stamp == (0, 0)
    camera.play((4, 5))
    newest = camera.stream.newest
    assert (newest.stamp, newest.frame_id, newest.tiles) == ((4, 5), "lens", (2, 5))
    assert newest.scales == (0.5, 1.0)
    assert camera.stream.age_ms(camera.sink.frames[0]) == pytest.approx(1000, abs=0.01)


def test_nobody_who_wants_a_summary_costs_none() -> None:
    camera = Camera(Demand())
    camera.play((1, 0))
    assert camera.sink.calls == ["demand", "labels", "aligned", "pictures"]
    assert camera.sink.scene is None


@pytest.mark.parametrize(("boxes", "has_scene"), [(True, True), (False, False)])
def test_overlay_alone_has_a_scene_where_it_draws_boxes(boxes: bool, has_scene: bool) -> None:
    camera = Camera(Demand(overlay=True), parameters={"overlay.boxes": boxes})
    camera.play((1, 0))
    assert "summary" not in camera.sink.calls
    assert (camera.sink.scene is not None) == has_scene


def test_objects_can_be_switched_off_and_the_classes_stay() -> None:
    camera = Camera(parameters={"objects.enabled": False})
    camera.play((1, 0))
    assert camera.sink.scene is not None
    assert [len(found.objects) for found in camera.sink.scene.classes] == [0, 0]


def test_summary_that_breaks_costs_neither_labels_nor_calibration() -> None:
    camera = Camera(breaks="summary")
    camera.play((1, 0))
    assert camera.sink.calls == ["demand", "labels", "aligned", "summary"]
    assert camera.reported == ["frame failed with ValueError: summary broke"]
    assert camera.stream.ledger.counts().labelled == 1


@pytest.mark.parametrize(
    ("error", "outcome", "sentence"),
    [
        (InputError("a broken message"), "dropped_undecodable", "a broken message"),
        (RefusedImage("an image too large"), "dropped_refused", "an image too large"),
        (KeyError("bug"), "dropped_failed", "frame failed with KeyError: 'bug'"),
    ],
)
def test_frame_that_cannot_be_read_counts_by_its_reason(
    error: Exception, outcome: str, sentence: str
) -> None:
    camera = Camera()
    camera.play(error)
    assert camera.reported == [sentence]
    assert getattr(camera.stream.ledger.counts(), outcome) == 1
    assert camera.sink.calls == []


def test_time_that_jumps_back_is_told_once() -> None:
    camera = Camera()
    for stamp in ((10, 0), (11, 0), (2, 500_000_000), (3, 0)):
        camera.play(stamp)
    (sentence,) = camera.reported
    assert sentence.startswith("image stamps jumped back by 8.500 s")


def test_single_frame_takes_the_same_steps_and_raises_its_error() -> None:
    camera = Camera()
    process_frame(camera.stream, (1, 0), camera.segment)
    assert camera.sink.calls == ["demand", "labels", "aligned", "summary", "pictures"]
    with pytest.raises(InputError, match="a broken message"):
        process_frame(camera.stream, InputError("a broken message"), camera.segment)
    with pytest.raises(ValueError, match="pictures broke"):
        process_frame(Camera(breaks="pictures").stream, (1, 0), camera.segment)


def test_summary_alone_is_the_stage_of_objects() -> None:
    camera = Camera()
    now_s = [0.0]
    stages = StageClock(lambda: now_s[0])
    frame = camera.stream.decode((1, 0))
    (segmentation,) = camera.segment([frame])
    aligned = camera.sink.send_aligned

    def take_long(*arguments: Any) -> None:
        now_s[0] += 7.0
        aligned(*arguments)

    camera.sink.send_aligned = take_long  # type: ignore[assignment,method-assign]
    camera.stream.follow_up(frame, segmentation, stages)
    assert stages.stages_ms == {"objects": 0.0}


def test_message_keeps_its_stamp_and_frame() -> None:
    message = ImageMessage(
        stamp_sec=7,
        stamp_nanosec=9,
        frame_id="lens",
        height=24,
        width=32,
        encoding="rgb8",
        is_bigendian=False,
        step=96,
        data=np.arange(24 * 96, dtype=np.uint8),
    )
    settings = SharedSettings(NodeSettings())
    image = decode_message(write_image(message), settings=settings, is_compressed=False)
    assert (image.stamp, image.frame_id) == ((7, 9), "lens")
    assert image.image_HWC.reshape(-1).tolist() == message.data.tolist()
    with pytest.raises(InputError):
        decode_message(b"not a message", settings=settings, is_compressed=True)
