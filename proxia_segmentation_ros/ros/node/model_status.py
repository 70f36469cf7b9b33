"""What `/diagnostics` says about the model (phase, failures, replacement) and shared memory."""

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.pipeline.model_host import ModelHost, describe_model
from proxia_segmentation_ros.ros import shared_memory
from proxia_segmentation_ros.ros.diagnostics import ERROR, OK, WARN, Finding
from proxia_segmentation_ros.ros.node.throttled_log import ThrottledLog

CRASH_SHOWN_S = 10.0


def find_model_status(
    phase: str,
    failure: str | None,
    host: ModelHost | None,
    settings: NodeSettings | None,
    problems: ThrottledLog,
) -> Finding:
    """Return the status.

    `failure` is why the last transition failed, or why the node gave up; `problems` holds the
    warnings that the package logged.
    """
    values: dict[str, object] = {"state": phase}
    level, message = (OK, phase) if failure is None else (ERROR, failure)
    if host is not None:
        if settings is not None:
            values.update(describe_model(host.segmenter, settings))
        values.update(_describe_recovery(host))
        level, message = _judge(host, level, message)
    status = None if host is None else host.upgrade_status
    if status is not None:
        values.update(status.to_values())
        if status.state == "failed" and level == OK:
            level, message = WARN, f"{message}; no engine: {status.step}"
        elif status.state in ("building", "loading"):
            message = f"{message}; {status.state} an engine"
    if problems.recent is not None and level == OK:
        level, message = WARN, f"{message}; {problems.recent}"
    if problems.last is not None:
        values.update(warnings=problems.count, last_warning=problems.last)
    return Finding(part="model", level=level, message=message, values=values)


def find_shared_memory_status() -> list[Finding]:
    """Return a status of `/dev/shm` where Fast DDS uses it."""
    if not shared_memory.uses_fast_dds():
        return []
    problem = shared_memory.find_problem()
    level, message = (OK, "enough for images") if problem is None else (WARN, problem)
    return [Finding(part="shared memory", level=level, message=message)]


def _judge(host: ModelHost, level: bytes, message: str) -> tuple[bytes, str]:
    """Return level and message, given those of the node's phase."""
    recovery = host.recovery_status
    crash = host.workers.recent_crash(CRASH_SHOWN_S)
    if recovery.state in ("recovering", "given up"):
        return ERROR, f"{message}; {recovery.state}: {recovery.sentence}"
    if crash is not None:
        return ERROR, f"{message}; a worker thread died of {crash} and was replaced"
    if recovery.state == "lower" and level == OK:
        return WARN, f"{message}; {recovery.sentence}"
    return level, message


def _describe_recovery(host: ModelHost) -> dict[str, object]:
    status = host.recovery_status
    return {
        "recovery": status.state,
        "recovery_step": status.rung,
        "model_failures": status.failures,
        "model_hangs": status.hangs,
    }
