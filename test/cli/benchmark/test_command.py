import json
import sys

import pytest

from proxia_segmentation_ros.cli import main

RATE, P50 = "BasicPerformanceMetrics.MEAN_FRAME_RATE", "ProxiaMetrics.P50_LATENCY"
STAGE = "ProxiaMetrics.STAGE_INFER"


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["proxia", "benchmark", *arguments])
    code = main()
    output = capsys.readouterr()
    return code, output.out, output.err


def make_report(rate=20.0, **custom):
    return {
        RATE: rate,
        "10.0fps": {RATE: 10.0, P50: 40.0, STAGE: 35.5},
        "custom": {
            "subject": {"name": "scales=[a,b]", "weights": "default", "precision": "f32"},
            "settings": {"size": "480x360"},
            "machine": {"cpu": "Xeon", "cores": 2, "busy_cores": 0.0},
            **custom,
        },
        "metadata": {},
    }


@pytest.fixture
def stub_node(monkeypatch):
    """Let the benchmark of the node return a report and keep what it was asked for."""
    asked = []

    def run(settings, progress):
        asked.append(settings)
        return make_report()

    monkeypatch.setattr("proxia_segmentation_ros.benchmark.node.run_node_benchmark", run)
    return asked


def test_benchmark_alone_is_the_node_at_one_rate(monkeypatch, capsys, stub_node):
    code, out, err = call(monkeypatch, capsys, "--rate", "10", "--rounds", "8")
    assert code == 0, err
    (settings,) = stub_node
    assert (tuple(settings.rounds.rates_hz), settings.rounds.rounds) == ((10.0,), 8)
    assert "480x360, Xeon, 2 cores" in out


def test_node_takes_rates_peak_and_parameters(monkeypatch, capsys, stub_node):
    arguments = ("node", "--rate", "15", "--size", "1280x720", "--set", "inference.threads=1")
    assert call(monkeypatch, capsys, *arguments)[0] == 0
    (settings,) = stub_node
    assert tuple(settings.rounds.rates_hz) == (0.0, 15.0)
    assert settings.rounds.images.size_hw == (720, 1280)
    assert settings.parameters["inference.threads"] == 1
    assert settings.parameters["model.weights"] == "default"


def test_default_rates_are_those_of_ros2_benchmark(monkeypatch, capsys, stub_node):
    assert call(monkeypatch, capsys, "node", "--no-peak")[0] == 0
    assert tuple(stub_node[0].rounds.rates_hz) == (10.0, 30.0, 60.0)


@pytest.mark.parametrize(("command", "kind"), [("model", None), ("pipeline", "model")])
def test_model_and_pipeline_have_variants_and_default_rates(monkeypatch, capsys, command, kind):
    asked = []

    def run(title, subject, baseline, settings, progress):
        asked.append((subject, baseline, settings))
        return make_report()

    monkeypatch.setattr("proxia_segmentation_ros.benchmark.local.run_local_benchmark", run)
    assert call(monkeypatch, capsys, command, "--precision", "f32")[0] == 0
    ((subject, baseline, settings),) = asked
    assert tuple(settings.rates_hz) == (0.0, 10.0, 30.0, 60.0)
    assert (subject.kind, subject.loading["precision"]) == (command, "f32")
    assert getattr(baseline, "kind", None) == kind


def test_report_is_printed_and_written(monkeypatch, capsys, stub_node, tmp_path):
    path, plot = tmp_path / "deep" / "report.json", tmp_path / "plot.png"
    code, out, _ = call(monkeypatch, capsys, "node", "--out", str(path), "--plot", str(plot))
    assert code == 0
    assert json.loads(path.read_text()) == make_report()
    assert plot.stat().st_size > 1000
    # Twice in the figures, once in the stages, once below.
    assert out.count("scales=[a,b]") == 4
    assert "35.50" in out
    assert "weights default, precision f32" in out
    code, out, _ = call(monkeypatch, capsys, "node", "--json")
    assert json.loads(out) == make_report()


@pytest.mark.parametrize(("rate", "code"), [(20.0, 0), (19.5, 0), (15.0, 1)])
def test_comparison_fails_where_a_figure_became_worse(monkeypatch, capsys, tmp_path, rate, code):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(make_report()))
    new.write_text(json.dumps(make_report(rate, machine={"cpu": "EPYC", "cores": 2})))
    found, out, _ = call(monkeypatch, capsys, "compare", str(old), str(new))
    assert found == code
    assert ("worse" in out.replace("nothing became worse", "")) is (code == 1)
    assert "warning: machine cpu: Xeon before, EPYC now" in out
    assert call(monkeypatch, capsys, "compare", str(old), str(new), "--allow", "30%")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["model", "--a", "colour=red"], 2, "'colour=red' is no option of 'model'"),
        (["model", "--no-peak", "--rate", "5", "--weights", "/no/such"], 4, "'/no/such'"),
        (["pipeline", "--size", "large"], 2, "--size is 'large'"),
        (["node", "--plot", "plot.pdf"], 2, "--plot is 'plot.pdf'; expected a file that ends in"),
        (["node", "--flame", "flame.png"], 2, "--flame is 'flame.png'"),
        (["node", "--plot", "/proc/no/plot.png"], 2, "'/proc/no/plot.png' can't be written"),
        (["node", "--flame", "/proc/no/flame.svg"], 2, "'/proc/no/flame.svg' can't be written"),
        (["cameras", "--out", "/proc/report.json"], 2, "'/proc/report.json' can't be written"),
        (["train", "--out", "/proc"], 2, "'/proc' can't be written"),
        (["budget", "/no/clip", "--out", "/proc/a.json"], 2, "'/proc/a.json' can't be written"),
        (["cameras", "--no-peak"], 2, "there is no --rate and no --peak"),
        (["soak", "model", "--set", "output.size=network"], 2, "--set is given for 'model'"),
        (["soak", "abacus=1"], 2, "is no option of 'pipeline'"),
        (["compare", "/no/old.json", "/no/new.json"], 3, "'/no/old.json' can't be read"),
        (["--rounds", "9", "node"], 2, "--rounds stands before 'node'"),
    ],
)
def test_mistakes_are_one_sentence(monkeypatch, capsys, arguments, exit_code, sentence):
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert (code, sentence in err) == (exit_code, True), err


def test_figures_are_printed_where_their_file_can_not_be_written_any_more(
    monkeypatch, capsys, stub_node, tmp_path
):
    def fill(_settings, _progress):
        (tmp_path / "report.json").mkdir()
        return make_report()

    monkeypatch.setattr("proxia_segmentation_ros.benchmark.node.run_node_benchmark", fill)
    path = tmp_path / "report.json"
    code, out, err = call(monkeypatch, capsys, "node", "--json", "--out", str(path))
    assert json.loads(out) == make_report()
    assert (code, "can't be written: Is a directory" in err) == (2, True), err


def test_cameras_take_what_saturates_them(monkeypatch, capsys):
    asked = []

    def run(settings, progress):
        asked.append(settings)
        return make_report()

    monkeypatch.setattr("proxia_segmentation_ros.benchmark.cameras.run_cameras_benchmark", run)
    assert call(monkeypatch, capsys, "cameras", "--saturate", "80", "--kill", "4")[0] == 0
    assert (asked[0].saturating_hz, asked[0].kill_rate_hz) == (80.0, 4.0)


def test_camera_alone_has_rows_and_ratios_of_its_own(monkeypatch, capsys):
    rate = "BasicPerformanceMetrics.MEAN_FRAME_RATE"
    report = make_report()
    report["custom"]["alone"] = {
        "subject": {"name": "one camera alone", "backend": "openvino"},
        rate: 31.25,
        "ratios": {"peak": {rate: {"median": 1.75, "rounds": [1.5, 2.0]}}},
    }
    monkeypatch.setattr(
        "proxia_segmentation_ros.benchmark.cameras.run_cameras_benchmark",
        lambda _settings, _progress: report,
    )
    code, out, _ = call(monkeypatch, capsys, "cameras")
    assert code == 0
    assert "31.25" in out
    assert "/ one camera alone: median of rounds" in out
    assert "1.75 (1.50 to 2.00)" in out
    assert "one camera alone: backend openvino" in out
