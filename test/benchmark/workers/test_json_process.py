"""Questions to another process: its errors come back as sentences."""

import os
import sys
from pathlib import Path

import pytest

from proxia_segmentation_ros.benchmark.workers.json_process import JsonProcess
from proxia_segmentation_ros.errors import BackendError, ProxiaError


def test_error_of_no_special_kind_is_raised_and_no_answer() -> None:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2] / "support"), *sys.path]),
    }
    with JsonProcess("complaining_process", "complaints", env) as process:
        with pytest.raises(ProxiaError, match="nobody subscribed; expected somebody; wake them up"):
            process.request({})
        with pytest.raises(BackendError, match="the process of complaints ended with 0"):
            process.request({})
