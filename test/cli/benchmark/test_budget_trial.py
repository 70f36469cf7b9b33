import json
import sys

from proxia_segmentation_ros.cli import main


def test_options_make_the_trial_and_its_report_is_printed_and_written(
    monkeypatch, capsys, tmp_path
):
    trials = []

    def run(trial, _progress):
        trials.append(trial)
        return {"budget_ms": 40.0}

    monkeypatch.setattr("proxia_segmentation_ros.benchmark.latency_budget.run_budget_trial", run)
    out = tmp_path / "report.json"
    options = ["--scales", "0.5,1", "--budget-ms", "40", "--seconds", "9", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["proxia", "benchmark", "budget", str(tmp_path), *options])
    assert main() == 0
    (trial,) = trials
    assert (trial.images, trial.weights) == (str(tmp_path), "attention")
    assert (trial.scales, trial.budget_ms, trial.seconds) == ((0.5, 1.0), 40.0, 9.0)
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text()) == {"budget_ms": 40.0}
