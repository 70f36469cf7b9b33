"""Encodings beyond our own code."""

import sys
from types import ModuleType

import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.ros.node import cv_bridge_fallback
from proxia_segmentation_ros.ros.node.cv_bridge_fallback import convert_with_cv_bridge
from proxia_segmentation_ros.wire.cdr import ImageMessage

ODD = ImageMessage(
    stamp_sec=1,
    stamp_nanosec=2,
    frame_id="cam",
    height=16,
    width=16,
    encoding="rgb16",
    is_bigendian=False,
    step=96,
    data=memoryview(bytes(16 * 96)),
)


@pytest.fixture(autouse=True)
def forget_cv_bridge():
    """Look for cv_bridge anew in each test."""
    cv_bridge_fallback._load_cv_bridge.cache_clear()
    yield
    cv_bridge_fallback._load_cv_bridge.cache_clear()


def install(monkeypatch, bridge) -> None:
    module = ModuleType("cv_bridge")
    module.CvBridge = bridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def test_cv_bridge_decodes_what_we_do_not(monkeypatch):
    class Bridge:
        def imgmsg_to_cv2(self, image, encoding):
            assert (image.encoding, image.step, len(image.data), encoding) == (
                "rgb16",
                96,
                16 * 96,
                "rgb8",
            )
            return np.full((16, 16, 3), 9, np.uint8)

    install(monkeypatch, Bridge)
    assert (convert_with_cv_bridge(ODD) == 9).all()


def test_absent_cv_bridge_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(InputError, match=r"'rgb16' can't be decoded .*cv_bridge can't help"):
        convert_with_cv_bridge(ODD)


def test_cv_bridge_broken_by_numpy_2_is_named(monkeypatch):
    def fail():
        raise AttributeError("_ARRAY_API not found")

    install(monkeypatch, fail)
    with pytest.raises(InputError, match="AttributeError: _ARRAY_API not found"):
        convert_with_cv_bridge(ODD)


def test_refusal_of_cv_bridge_is_passed_on(monkeypatch):
    class Bridge:
        def imgmsg_to_cv2(self, image, encoding):
            raise RuntimeError("Unrecognized image encoding [rgb16]")

    install(monkeypatch, Bridge)
    with pytest.raises(InputError, match="Unrecognized image encoding"):
        convert_with_cv_bridge(ODD)
