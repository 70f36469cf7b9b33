"""What `/diagnostics` says about the node and each camera."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile

OK = DiagnosticStatus.OK
WARN = DiagnosticStatus.WARN
ERROR = DiagnosticStatus.ERROR
# More than the states of one moment: a change must not push out what it follows.
DIAGNOSTICS_QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the diagnostics: `part` is the model or a camera."""

    part: str
    level: bytes
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


class DiagnosticsBoard:
    """Publish findings, at once when a level or message is another than last time."""

    def __init__(self, node: Node) -> None:
        self._node_name = node.get_fully_qualified_name().lstrip("/")
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", DIAGNOSTICS_QOS)
        self._shown: dict[str, tuple[bytes, str]] = {}

    def publish(self, findings: list[Finding], stamp: Time) -> None:
        """Send all findings."""
        self._shown = {finding.part: (finding.level, finding.message) for finding in findings}
        message = DiagnosticArray()
        message.header.stamp = stamp
        message.status = [self._make_status(finding) for finding in findings]
        self._publisher.publish(message)

    def publish_if_changed(self, findings: list[Finding], stamp: Time) -> None:
        """Send all findings when one of them says something new."""
        if {finding.part: (finding.level, finding.message) for finding in findings} != self._shown:
            self.publish(findings, stamp)

    def _make_status(self, finding: Finding) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=finding.level,
            name=f"{self._node_name}: {finding.part}",
            message=finding.message,
            hardware_id=self._node_name,
            values=[
                KeyValue(key=key, value=_to_text(value)) for key, value in finding.values.items()
            ],
        )


def _to_text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
