"""Hands what the package logs with Python's `logging` to the node's logger and to diagnostics.

Rooms below `ros/` know nothing of ROS; without this bridge their warnings would only reach stderr,
and their other lines nobody.
"""

import logging
from typing import Any

from rclpy.impl.logging_severity import LoggingSeverity

from proxia_segmentation_ros.ros.node.throttled_log import ThrottledLog

PACKAGE_LOGGER = "proxia_segmentation_ros"


class LogBridge(logging.Handler):
    """Forwards records of the package until it is closed.

    `log` is the node's logger. `problems` holds what was of level WARNING or above, for
    diagnostics.
    """

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log: Any = log
        self.problems = ThrottledLog(_ignore)
        self._logger = logging.getLogger(PACKAGE_LOGGER)
        self._level_before = self._logger.level
        is_debugging = log.get_effective_level() <= LoggingSeverity.DEBUG
        self._logger.setLevel(logging.DEBUG if is_debugging else logging.INFO)
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record with the severity that it has, and keep it if it is a warning."""
        try:
            if record.levelno >= logging.WARNING:
                self.problems.add(_describe(record))
            self._send(record.levelno, self.format(record))
        except Exception:  # noqa: BLE001 - logging must not end what is logged
            self.handleError(record)

    def _send(self, level: int, text: str) -> None:
        # rclpy allows each line of code one severity alone, so there is one for each.
        if level >= logging.CRITICAL:
            self._log.fatal(text)
        elif level >= logging.ERROR:
            self._log.error(text)
        elif level >= logging.WARNING:
            self._log.warning(text)
        elif level >= logging.INFO:
            self._log.info(text)
        else:
            self._log.debug(text)

    def close(self) -> None:
        """Forward nothing from now on."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level_before)
        super().close()


def _describe(record: logging.LogRecord) -> str:
    """Return the record as one sentence, with the error that it is about but no traceback."""
    message = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    return message if error is None else f"{message}: {type(error).__name__}: {error}"


def _ignore(_sentence: str) -> None:
    """Log nothing: the record itself is logged."""
