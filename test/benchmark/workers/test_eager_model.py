import numpy as np
import pytest

from proxia_segmentation_ros.benchmark.images import load_images
from proxia_segmentation_ros.benchmark.workers.eager_model import EagerModel
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.inference import Segmenter


@pytest.fixture(scope="module")
def image_HWC():
    return load_images("synthetic", (120, 160), 1)[0]


@pytest.mark.parametrize("size", ["input", "128x96"])
def test_plain_pytorch_labels_as_our_backends_do(image_HWC, size):
    labels_HW, stages_ms = EagerModel("synthetic", size=size).label(image_HWC)
    segmenter = Segmenter.from_weights("synthetic", backend="torch", precision="f32", size=size)
    ours_HW = segmenter.segment(image_HWC).labels
    assert (labels_HW.shape, labels_HW.dtype) == (ours_HW.shape, np.uint8)
    # It resizes the logits twice and normalises after resizing; ours does neither.
    assert (labels_HW == ours_HW).mean() > 0.97
    assert len(np.unique(labels_HW)) > 2
    assert set(stages_ms) == {"pre", "infer", "post"}
    assert min(stages_ms.values()) > 0


def test_size_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="size is 'large'"):
        EagerModel("synthetic", size="large")
