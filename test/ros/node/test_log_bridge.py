"""What the rooms below log reaches the node's logger, `/rosout` and `/diagnostics`."""

import logging
from collections.abc import Iterator

import pytest
from rcl_interfaces.msg import Log
from rclpy.impl.logging_severity import LoggingSeverity

from proxia_segmentation_ros.ros.node.log_bridge import LogBridge

LOGGER = logging.getLogger("proxia_segmentation_ros.backends.compiled_cache")


class Recorder:
    """A node's logger that keeps what it is given."""

    def __init__(self, level: LoggingSeverity = LoggingSeverity.INFO) -> None:
        self.lines: list[tuple[str, str]] = []
        self._level = level

    def get_effective_level(self) -> LoggingSeverity:
        return self._level

    def __getattr__(self, severity: str):
        return lambda text: self.lines.append((severity, text))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    log = Recorder()
    bridge = LogBridge(log)
    yield log
    bridge.close()


def test_records_keep_their_severity(recorder: Recorder) -> None:
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        LOGGER.log(number, "level %d", number)
    assert recorder.lines == [
        ("info", "level 20"),
        ("warning", "level 30"),
        ("error", "level 40"),
        ("fatal", "level 50"),
    ]


def test_debug_lines_come_where_the_node_logs_them() -> None:
    log = Recorder(LoggingSeverity.DEBUG)
    bridge = LogBridge(log)
    LOGGER.debug("small")
    bridge.close()
    assert log.lines == [("debug", "small")]


def test_warnings_are_kept_with_their_error_and_without_a_traceback() -> None:
    log = Recorder()
    bridge = LogBridge(log)
    LOGGER.info("all is well")
    assert bridge.problems.last is None
    try:
        raise OSError("disk full")
    except OSError:
        LOGGER.exception("can't write")
    bridge.close()
    assert bridge.problems.last == "can't write: OSError: disk full"
    assert "Traceback" in log.lines[-1][1]


def test_closed_bridge_forwards_nothing_and_leaves_the_logger_as_it_was() -> None:
    package = logging.getLogger("proxia_segmentation_ros")
    before = package.level, list(package.handlers)
    log = Recorder()
    LogBridge(log).close()
    LOGGER.warning("late")
    assert log.lines == []
    assert (package.level, package.handlers) == before


def test_warning_below_ros_reaches_rosout_and_diagnostics(robot, start_node) -> None:
    start_node()
    logs = robot.listen("/rosout", Log)
    robot.wait_for_diagnostic("model", "active")

    def is_heard(text: str) -> bool:
        LOGGER.warning("the cache can't be written")
        LOGGER.info("built a network in 3 s")
        return robot.wait_briefly(lambda: any(text in log.msg for log in logs))

    robot.wait_for(lambda: is_heard("the cache can't be written"), "the warning on /rosout")
    robot.wait_for(lambda: is_heard("built a network"), "the other line on /rosout")
    assert {log.name for log in logs if "built a network" in log.msg} == {"proxia"}
    status = robot.wait_for_diagnostic("model", "the cache can't be written")
    assert status.level == b"\x01"
