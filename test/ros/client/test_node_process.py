import os
import sys

import pytest

from proxia_segmentation_ros.errors import ProxiaError
from proxia_segmentation_ros.ros.client.node_process import NodeProcess


def start(tmp_path, code):
    (tmp_path / "child_module.py").write_text(code)
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    return NodeProcess([], env={**os.environ, "PYTHONPATH": paths}, module="child_module")


def wait_until_dead(process):
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_death_is_told_with_exit_code_and_log(tmp_path):
    with start(tmp_path, "print('weights are gone')\nraise SystemExit(7)\n") as process:
        wait_until_dead(process)
        with pytest.raises(ProxiaError, match=r"(?s)exit code 7.*weights are gone"):
            process.check_alive()


def test_only_the_newest_log_lines_are_shown(tmp_path):
    with start(tmp_path, "for line in range(50):\n    print(f'line {line} end')\n") as process:
        wait_until_dead(process)
        with pytest.raises(ProxiaError) as caught:
            process.check_alive()
    assert "line 49 end" in str(caught.value)
    assert "line 20 end" not in str(caught.value)


def test_stop_interrupts_first(tmp_path):
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(0))\n"
        "print('up', flush=True)\n"
        "while True:\n    signal.pause()\n"
    )
    process = start(tmp_path, code)
    while "up" not in process.last_lines:
        process.check_alive()
    assert process.stop() == 0


def test_stop_terminates_what_ignores_the_interrupt(tmp_path, monkeypatch):
    monkeypatch.setattr("proxia_segmentation_ros.ros.client.node_process.STOP_TIMEOUT_S", 0.2)
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('up', flush=True)\n"
        "while True:\n    signal.pause()\n"
    )
    process = start(tmp_path, code)
    while "up" not in process.last_lines:
        process.check_alive()
    assert process.stop() < 0
