"""The demo's pictures: a video of overlays and a contact sheet of six frames."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from proxia_segmentation_ros.apps.demo.record import DemoFrame, DemoRecord
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.render import colorize, draw_legend, draw_overlay, select_boxes
from proxia_segmentation_ros.sources.frame_stream import decode_rgb, read_frame_size

FRAMES_SHOWN = 6
CLASSES_NAMED = 4
CELL_WIDTH = 480
GAP = 12
HEADING_HEIGHT = 34
CAPTION_HEIGHT = 24
PAPER_RGB = (250, 250, 250)
INK_RGB = (40, 40, 40)
FAINT_RGB = (110, 110, 110)
FONT = cv2.FONT_HERSHEY_DUPLEX
OVERLAY_ALPHA = 0.5
VIDEO_MAX_WIDTH = 1280


def write_overlay_video(record: DemoRecord, path: Path) -> None:
    """Write every published frame with its labels as MPEG-4 at the source's rate.

    A frame without labels is shown without an overlay and with a note.

    Raises:
        InputError: the file can't be written.
    """
    writer: cv2.VideoWriter | None = None
    for frame in record.frames:
        picture_HWC = draw_frame(frame, record.label_set)
        if writer is None:
            height, width = shrink_to_even(picture_HWC).shape[:2]
            writer = _open_writer(path, record.rate_hz, width, height)
        even_HWC = shrink_to_even(picture_HWC)
        if even_HWC.shape[:2] != (height, width):
            even_HWC = cv2.resize(even_HWC, (width, height))
        writer.write(cv2.cvtColor(even_HWC, cv2.COLOR_RGB2BGR))
    if writer is not None:
        writer.release()


def _open_writer(path: Path, rate_hz: float, width: int, height: int) -> cv2.VideoWriter:
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), codec, rate_hz, (width, height))
    if not writer.isOpened():
        raise InputError.from_parts(
            f"video {str(path)!r} can't be written", "a folder with room", "choose another --out"
        )
    return writer


def shrink_to_even(image_HWC: np.ndarray) -> np.ndarray:
    """Limit the width and make both sides even, as video codecs require."""
    height, width = image_HWC.shape[:2]
    factor = min(1.0, VIDEO_MAX_WIDTH / width)
    size_wh = (int(width * factor) // 2 * 2, int(height * factor) // 2 * 2)
    if size_wh == (width, height):
        return image_HWC
    return cv2.resize(image_HWC, size_wh, interpolation=cv2.INTER_AREA)


def draw_frame(frame: DemoFrame, label_set: LabelSet) -> np.ndarray:
    """Draw a frame's overlay with boxes, or the frame itself when it was not labelled.

    A frame that can't be decoded, as the node will have said, is black.
    """
    if frame.labels is None:
        plain_HWC = _decode_or_blacken(frame)
        cv2.putText(plain_HWC, "not labelled", (8, 20), FONT, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        return plain_HWC
    image_HWC = decode_rgb(frame.source.frame)
    labels_HW = frame.labels.labels_HW
    boxes = pick_boxes(frame, label_set)
    return draw_overlay(image_HWC, labels_HW, label_set, alpha=OVERLAY_ALPHA, boxes=boxes)


def _decode_or_blacken(frame: DemoFrame) -> np.ndarray:
    try:
        return decode_rgb(frame.source.frame).copy()
    except InputError:
        size_hw = read_frame_size(frame.source.frame)
        factor = min(1.0, VIDEO_MAX_WIDTH / max(size_hw))
        height, width = (max(2, round(side * factor)) for side in size_hw)
        return np.zeros((height, width, 3), np.uint8)


def pick_boxes(frame: DemoFrame, label_set: LabelSet) -> list[tuple[int, int, int, int, int]]:
    """Return the boxes of a frame that are worth drawing."""
    if frame.scene is None or frame.labels is None:
        return []
    return select_boxes(frame.scene.boxes, label_set, frame.labels.labels_HW.size)


def draw_contact_sheet(record: DemoRecord) -> np.ndarray:
    """Draw input, class colours and overlay of six frames below each other, and the legend."""
    rows = [_draw_row(frame, record) for frame in pick_frames(record.labelled)]
    width = 3 * CELL_WIDTH + 4 * GAP
    heading_HWC = _make_paper(HEADING_HEIGHT, width)
    for column, title in enumerate(("input", "labels", "overlay with objects")):
        _write(heading_HWC, title, (GAP + column * (CELL_WIDTH + GAP), HEADING_HEIGHT - 10), 0.62)
    legend_HWC = draw_legend(record.label_set, width=width - 2 * GAP)
    foot_HWC = _make_paper(legend_HWC.shape[0] + 2 * GAP, width)
    foot_HWC[GAP : GAP + legend_HWC.shape[0], GAP : GAP + legend_HWC.shape[1]] = legend_HWC
    return np.concatenate([heading_HWC, *rows, foot_HWC])


def pick_frames(labelled: Sequence[DemoFrame]) -> list[DemoFrame]:
    """Pick frames that are evenly spread over the stream."""
    count = min(FRAMES_SHOWN, len(labelled))
    indices = np.linspace(0, len(labelled) - 1, count).round().astype(int)
    return [labelled[index] for index in indices]


def _draw_row(frame: DemoFrame, record: DemoRecord) -> np.ndarray:
    if frame.labels is None:
        raise ValueError("a row shows a labelled frame")
    image_HWC = decode_rgb(frame.source.frame)
    cells = [
        _fit(image_HWC),
        _fit(colorize(frame.labels.labels_HW, record.label_set)),
        _fit(draw_frame(frame, record.label_set)),
    ]
    height = cells[0].shape[0]
    row_HWC = _make_paper(height + CAPTION_HEIGHT + GAP, 3 * CELL_WIDTH + 4 * GAP)
    for column, cell_HWC in enumerate(cells):
        left = GAP + column * (CELL_WIDTH + GAP)
        row_HWC[: cell_HWC.shape[0], left : left + CELL_WIDTH] = cell_HWC
    for column, text in enumerate(_list_captions(frame, record)):
        place = (GAP + column * (CELL_WIDTH + GAP), height + CAPTION_HEIGHT - 6)
        _write(row_HWC, text, place, 0.45, FAINT_RGB)
    return row_HWC


def _list_captions(frame: DemoFrame, record: DemoRecord) -> tuple[str, str, str]:
    """Return the captions of a row: time, class shares, and objects with the latency."""
    seconds = (frame.published.stamp_ns - record.frames[0].published.stamp_ns) / 1e9
    count = len(pick_boxes(frame, record.label_set))
    return (
        f"frame {frame.published.index}   {seconds:.2f} s",
        describe_labels(frame, record.label_set),
        f"{count} object{'' if count == 1 else 's'}   labels after {frame.latency_ms:.0f} ms",
    )


def describe_labels(frame: DemoFrame, label_set: LabelSet) -> str:
    """Return the largest classes of a frame with their shares of its pixels in percent."""
    if frame.labels is None:
        return ""
    counts = np.bincount(frame.labels.labels_HW.reshape(-1), minlength=len(label_set))
    shares = 100 * counts[: len(label_set)] / counts.sum()
    largest = np.argsort(-shares)[:CLASSES_NAMED]
    shown = [class_id for class_id in largest if shares[class_id] >= 1]
    return "   ".join(f"{label_set.names[class_id]} {shares[class_id]:.0f} %" for class_id in shown)


def _fit(image_HWC: np.ndarray) -> np.ndarray:
    height, width = image_HWC.shape[:2]
    if width == CELL_WIDTH:
        return image_HWC
    size_wh = (CELL_WIDTH, max(1, round(height * CELL_WIDTH / width)))
    return cv2.resize(image_HWC, size_wh, interpolation=cv2.INTER_AREA)


def _make_paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER_RGB, np.uint8)


def _write(
    paper_HWC: np.ndarray,
    text: str,
    place: tuple[int, int],
    scale: float,
    ink_rgb: tuple[int, int, int] = INK_RGB,
) -> None:
    cv2.putText(paper_HWC, text, place, FONT, scale, ink_rgb, 1, cv2.LINE_AA)
