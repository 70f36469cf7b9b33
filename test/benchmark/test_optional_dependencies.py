import json
import sys

import pytest

from proxia_segmentation_ros.benchmark.optional_dependencies import import_extra
from proxia_segmentation_ros.errors import ConfigError


def test_installed_module_is_returned() -> None:
    assert import_extra("json") is json


@pytest.mark.parametrize("name", ["psutil", "matplotlib.figure"])
def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    package = name.split(".")[0]
    with pytest.raises(
        ConfigError,
        match=rf"'{package}' is not installed; .*'proxia_segmentation_ros\[benchmark\]'",
    ):
        import_extra(name)
