"""What `/diagnostics` says of the model, for each way in which it can fare."""

from types import SimpleNamespace
from typing import Any

import pytest
from fake_segmenter import FakeSegmenter

from proxia_segmentation_ros.inference.engine_upgrade import UpgradeStatus
from proxia_segmentation_ros.pipeline.recovery import RecoveryStatus
from proxia_segmentation_ros.ros.diagnostics import ERROR, OK, WARN
from proxia_segmentation_ros.ros.node.model_status import find_model_status
from proxia_segmentation_ros.ros.node.throttled_log import ThrottledLog


def make_host(
    recovery: RecoveryStatus | None = None,
    crash: str | None = None,
    upgrade: UpgradeStatus | None = None,
) -> Any:
    return SimpleNamespace(
        segmenter=FakeSegmenter(),
        recovery_status=recovery or RecoveryStatus(),
        upgrade_status=upgrade,
        workers=SimpleNamespace(recent_crash=lambda within_s: crash),
    )


NO_PROBLEMS = ThrottledLog(lambda sentence: None)
LOWER = RecoveryStatus(state="lower", sentence="serving on torch f32", rung="torch f32", failures=3)
RECOVERING = RecoveryStatus(state="recovering", sentence="the model hung")
CASES = {
    "well": (make_host(), OK, "active"),
    "lower": (make_host(LOWER), WARN, "active; serving on torch f32"),
    "recovering": (make_host(RECOVERING), ERROR, "active; recovering: the model hung"),
    "crash": (
        make_host(crash="KeyError: 1"),
        ERROR,
        "active; a worker thread died of KeyError: 1 and was replaced",
    ),
    "no engine": (
        make_host(upgrade=UpgradeStatus(state="failed", step="no memory", elapsed_s=1.0)),
        WARN,
        "active; no engine: no memory",
    ),
}


@pytest.mark.parametrize(("host", "level", "message"), CASES.values(), ids=CASES)
def test_level_and_sentence(host: Any, level: bytes, message: str) -> None:
    status = find_model_status("active", None, host, None, NO_PROBLEMS)
    assert (status.level, status.message) == (level, message)


def test_failed_transition_is_an_error_without_a_model() -> None:
    status = find_model_status(
        "unconfigured", "can't configure: no weights", None, None, NO_PROBLEMS
    )
    assert (status.level, status.message) == (ERROR, "can't configure: no weights")
    assert status.values == {"state": "unconfigured"}


def test_counts_of_failures_are_values() -> None:
    status = find_model_status("active", None, make_host(LOWER), None, NO_PROBLEMS)
    assert status.values["recovery_step"] == "torch f32"
    assert status.values["model_failures"] == 3


def test_logged_warning_is_shown_for_a_while_and_kept_as_a_value() -> None:
    now_s = 0.0
    problems = ThrottledLog(lambda sentence: None, clock=lambda: now_s)
    problems.add("the cache can't be written")
    status = find_model_status("active", None, make_host(), None, problems)
    assert (status.level, status.message) == (WARN, "active; the cache can't be written")
    now_s = 60.0
    status = find_model_status("active", None, make_host(), None, problems)
    assert (status.level, status.message) == (OK, "active")
    assert status.values["last_warning"] == "the cache can't be written"
    assert status.values["warnings"] == 1
