"""What a run that goes on says of its changed recipe."""

import pytest

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.training.resumption import describe_changes


@pytest.mark.parametrize(
    "name", ["model.architecture", "model.ocr_mid", "model.ocr_key", "data.label_set"]
)
def test_changes_that_make_another_network_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"the run to resume has another {name}"):
        describe_changes({name: 1, "steps": 2}, {name: 3, "steps": 2})


def test_settings_younger_than_a_checkpoint_are_told_only_when_set() -> None:
    defaults = {"augmentation.hue": 0.0, "data.train_limit": 0}
    now = {"augmentation.hue": 0.1, "data.train_limit": 0}
    assert describe_changes({}, now, defaults) == ["recipe changed: augmentation.hue 0.0 -> 0.1"]
