"""The log of a run: one JSON object a line."""

import json
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.training.logs.run_log import LOG_NAME, RunLog


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()]


def test_rows_are_written_at_once_and_reported(tmp_path: Path) -> None:
    reported: list[dict[str, Any]] = []
    log = RunLog(tmp_path / "new", reported.append)
    log.begin(0)
    log.add({"step": 1, "loss": 0.5})
    assert read_rows(tmp_path / "new") == reported == [{"step": 1, "loss": 0.5}]
    log.add({"step": 2, "note": "x"})
    assert read_rows(tmp_path / "new") == reported
    assert len(reported) == 2


def test_rows_after_the_step_and_torn_ones_are_dropped(tmp_path: Path) -> None:
    log = RunLog(tmp_path, lambda row: None)
    for step in (1, 2, 3):
        log.add({"step": step})
    with (tmp_path / LOG_NAME).open("a") as file:
        file.write('{"step": 2, "lo')
    log.begin(2)
    assert read_rows(tmp_path) == [{"step": 1}, {"step": 2}]
    assert [path.name for path in tmp_path.iterdir()] == [LOG_NAME]


def test_silent_log_touches_nothing(tmp_path: Path) -> None:
    kept = RunLog(tmp_path, lambda row: None)
    kept.add({"step": 5})
    reported: list[dict[str, Any]] = []
    silent = RunLog(tmp_path, reported.append, is_silent=True)
    silent.begin(0)
    silent.add({"step": 6})
    assert read_rows(tmp_path) == [{"step": 5}]
    assert reported == []
