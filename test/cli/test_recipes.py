"""Recipes of `proxia evaluate` and `proxia segment`, and where each setting comes from."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from proxia_segmentation_ros.apps.evaluate.settings import EvaluationData, EvaluationSettings
from proxia_segmentation_ros.apps.segment.settings import SegmentSettings
from proxia_segmentation_ros.cli import evaluate, main, segment
from proxia_segmentation_ros.cli.recipes import NO_SETTINGS
from proxia_segmentation_ros.model.catalogue import read_catalogue
from proxia_segmentation_ros.training.recipe import list_recipes


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["proxia", *map(str, arguments)])
    code = main()
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture(name="explain")
def make_explain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, tuple[Any, str]]]:
    """Return what gives value and origin of each setting of a command."""

    def explain(*arguments: object) -> dict[str, tuple[Any, str]]:
        code, out, err = call(monkeypatch, capsys, *arguments, "--dry-run")
        assert code == 0, err
        lines = [line.rpartition("  # ") for line in out.splitlines()]
        settings = {}
        for setting, _, origin in lines:
            ((name, value),) = yaml.safe_load(setting).items()
            settings[name] = (value, origin)
        return settings

    return explain


def test_scores_of_the_reference_have_its_values(explain: Callable[..., Any]) -> None:
    cityscapes = explain("evaluate", "--recipe", "eval_cityscapes", "--set", "data.root=/data")
    assert cityscapes["weights"] == ("mscale-cityscapes", "recipe")
    assert cityscapes["scales"] == ([0.5, 1.0, 2.0], "recipe")
    assert cityscapes["data.dataset"] == ("cityscapes", "recipe")
    assert cityscapes["data.split"] == ("val", "recipe")
    assert cityscapes["data.options"] == ({"cross_validation": 0}, "recipe")
    assert cityscapes["data.root"] == ("/data", "--set")
    assert cityscapes["size"] == ("input", "recipe")
    assert cityscapes["flip"] == (False, "default")
    assert cityscapes["average_scales"] == ([1.0], "default")
    vistas = explain("evaluate", "--recipe", "eval_mapillary")
    assert vistas["weights"][0] == "mscale-mapillary"
    assert vistas["scales"][0] == [0.25, 0.5, 1.0, 2.0]
    assert (vistas["flip"][0], vistas["data.long_side"][0]) == (True, 2177)
    assert vistas["data.root"] == (".", "default")


def test_dumps_of_the_reference_have_its_values(explain: Callable[..., Any]) -> None:
    city = explain("segment", "--recipe", "dump_cityscapes", "--set", "root=/data", "-o", "out")
    folder = explain("segment", "--recipe", "dump_folder", "--set", "path=/a b", "-o", "out")
    for settings in (city, folder):
        assert settings["weights"] == ("mscale-cityscapes", "recipe")
        assert settings["scales"][0] == [0.5, 1.0, 2.0]
        assert settings["size"][0] == "input"
        assert settings["alpha"][0] == 0.4
        assert {"composite", "colored", "confidence", "attention"} <= {*settings["write"][0]}
        assert settings["out"] == ("out", "command line")
    # val alone, where NVIDIA/semantic-segmentation takes train too
    assert (city["path"][0], city["truth"][0]) == ("leftImg8bit/val", "gtFine/val")
    assert "errors" in city["write"][0]
    assert folder["path"] == ("/a b", "--set")


def test_weights_of_the_recipes_are_published_ones(explain: Callable[..., Any]) -> None:
    rows = [("evaluate", name) for name in list_recipes("evaluate")]
    rows += [("segment", name) for name in list_recipes("segment")]
    for command, name in rows:
        more = ["-o", "out", "--set", "path=x"] if command == "segment" else []
        assert explain(command, "--recipe", name, *more)["weights"][0] in read_catalogue()


def test_typed_option_wins_over_set_and_set_over_the_recipe(explain: Callable[..., Any]) -> None:
    recipe = ["evaluate", "--recipe", "eval_mapillary"]
    assert explain(*recipe)["flip"] == (True, "recipe")
    assert explain(*recipe, "--set", "flip=false")["flip"] == (False, "--set")
    both = explain(*recipe, "--set", "flip=false", "--flip", "--set", "scales=[1.0]")
    assert both["flip"] == (True, "command line")
    assert both["scales"] == ([1.0], "--set")
    assert explain(*recipe, "--no-flip")["flip"] == (False, "command line")
    # Typed, though it is the default.
    assert explain(*recipe, "--size", "card")["size"] == ("card", "command line")
    assert explain(*recipe, "--scales", "")["scales"] == ([], "command line")
    named = explain(*recipe, "--root", "/data", "--option", "keep_decoded=true")
    assert named["data.root"] == ("/data", "command line")
    assert named["data.options"] == ({"keep_decoded": True}, "command line")


def test_own_recipe_is_read_and_nothing_is_labelled_without_need(
    tmp_path: Path, explain: Callable[..., Any]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("command: segment\nwrite: labels\nscales: 0.5,1.0\n")
    found = explain("segment", "pictures", "-o", tmp_path / "out", "--recipe", path)
    assert found["path"] == ("pictures", "command line")
    assert found["write"] == (["labels"], "recipe")
    assert found["scales"] == ([0.5, 1.0], "recipe")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "eval_cityscapes"], "run `proxia evaluate --recipe eval_cityscapes`"),
        (["train", "dump_folder", "--dry-run"], "run `proxia segment --recipe dump_folder`"),
        (["evaluate", "--recipe", "camvid"], "run `proxia train camvid`"),
        (["segment", "--recipe", "eval_cityscapes"], "proxia evaluate --recipe eval_cityscapes"),
        (["evaluate", "--recipe", "dump_folder"], "run `proxia segment --recipe dump_folder`"),
        (["evaluate", "--recipe", "none"], "one of eval_cityscapes, eval_mapillary or a path"),
        (["evaluate"], "write `proxia evaluate IMAGES LABELS`, or --dataset NAME"),
        (["evaluate", "a", "b", "--root", "c"], "data.root is 'c', which data.dataset 'folders'"),
        (["evaluate", "a", "b", "--set", "sise=4"], "setting sise is unknown"),
        (["evaluate", "a", "b", "--overlap", "0.5"], "overlap is 0.5 without windows"),
        (["evaluate", "a", "b", "--boundary", "-1"], "setting boundary is -1.0; expected greater"),
        (["evaluate", "a", "b", "--option", "c"], "has no value; expected name=value; write --opt"),
        (["evaluate", "--dataset", "camvid", "--option", "split=val"], "data.options.split is 'v"),
        (["evaluate", "--dataset", "camvid", "--option", "name=ade20k"], "or write --dataset"),
        (["evaluate", "a", "b", "--scales", "nan,1.0"], "is nan; expected a finite number"),
        (["segment", "x", "-o", "y", "--set", "write="], "what to write is nothing"),
        (["segment", "x", "-o", "y", "--set", "write=3"], "of unknown kind '3'"),
        (["segment", "-o", "out"], "setting path is not given"),
        (["segment", "x", "--set", "alpha=2", "-o", "y"], "setting alpha is 2; expected less"),
    ],
)
def test_mistakes_are_one_sentence_that_says_what_to_do(
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_recipe_of_no_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("command: [segment]\n")
    code, _, err = call(monkeypatch, capsys, "segment", "x", "-o", "y", "--recipe", path)
    assert code == 2
    assert "expected one of `proxia segment`" in err


def list_defaults(settings: type[BaseModel]) -> dict[str, Any]:
    return {name: field.default for name, field in settings.model_fields.items()}


@pytest.mark.parametrize(
    ("command", "models", "own"),
    [
        (evaluate.evaluate, (EvaluationSettings, EvaluationData), {"option", "out"}),
        (segment.segment, (SegmentSettings,), {"path", "out"}),
    ],
    ids=["evaluate", "segment"],
)
def test_options_promise_the_settings_own_defaults(
    command: Callable[..., None], models: tuple[type[BaseModel], ...], own: set[str]
) -> None:
    known = {name: value for model in models for name, value in list_defaults(model).items()}
    written = {"": (), "1.0": (1.0,), "overlay,colored,labels": ("overlay", "colored", "labels")}
    for name, parameter in inspect.signature(command).parameters.items():
        if name in {"context", *NO_SETTINGS, *own}:
            continue
        default = parameter.default
        if isinstance(known[name], tuple):
            default = written[default]
        assert default == known[name], name


def test_dry_run_does_without_torch() -> None:
    program = (
        "import sys; from proxia_segmentation_ros.cli import main; "
        "sys.argv = ['proxia', 'evaluate', '--recipe', 'eval_cityscapes', '--dry-run']; "
        "main(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_training_takes_its_recipe_with_and_without_the_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, plain, _ = call(monkeypatch, capsys, "train", "camvid", "--dry-run")
    assert (code, plain.count("# recipe") > 5) == (0, True)
    assert call(monkeypatch, capsys, "train", "--recipe", "camvid", "--dry-run")[:2] == (0, plain)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no recipe is given; expected one recipe"),
        (["camvid", "--recipe", "synthetic"], "'camvid' and 'synthetic' are both given"),
    ],
)
def test_training_takes_one_recipe(
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(monkeypatch, capsys, "train", *arguments, "--dry-run")
    assert (code, sentence in " ".join(err.split())) == (2, True)
