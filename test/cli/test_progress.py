"""Bars on stderr, and what they leave to stdout."""

import io
import sys

import pytest

from proxia_segmentation_ros.cli.progress import show_progress
from proxia_segmentation_ros.cli.train import show_steps


class Terminal(io.StringIO):
    """Takes text as a terminal does."""

    def isatty(self) -> bool:
        return True


def run_stage(*, with_countdown: bool) -> None:
    with show_progress(with_countdown=with_countdown) as progress:
        progress.begin("labelling", 2)
        sys.stdout.write("first line\n")
        progress.advance()


def watch(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in stderr's place; pytest would take that of a fixture away again."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return shown


def test_countdown_leaves_lines_to_a_redirected_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    lines = io.StringIO()
    monkeypatch.setattr(sys, "stdout", lines)
    run_stage(with_countdown=True)
    assert lines.getvalue() == "first line\n"
    assert "first line" not in terminal.getvalue()
    assert "left" in terminal.getvalue()


def test_countdown_is_away_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    run_stage(with_countdown=True)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("first line\n", "")


def test_bar_without_countdown_tells_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    run_stage(with_countdown=False)
    assert "labelling" in terminal.getvalue()
    assert "left" not in terminal.getvalue()


def test_training_shows_centroids_being_found_before_its_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = watch(monkeypatch)
    monkeypatch.setattr(sys, "stdout", terminal)
    with show_steps() as (_, report_centroids):
        report_centroids(3, 4)
    assert "centroids" in terminal.getvalue()
    assert "3/4" in terminal.getvalue()
    with show_steps() as (on_step, report_centroids):
        report_centroids(3, 4)
        report_centroids(4, 4)
        on_step(1, 7)
    last = terminal.getvalue().rpartition("step")[2]
    assert "1/7" in last
    assert "centroids" not in last
