"""Recipes."""

from pathlib import Path

import pytest

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.training.recipe import load_recipe


@pytest.mark.parametrize("name", ["camvid", "synthetic"])
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.model.name == name
    assert recipe.model.training_data
    assert recipe.model.terms


def test_override_reaches_a_nested_key() -> None:
    recipe = load_recipe("camvid", ["steps=7", "optimiser.learning_rate=0.5", "data.root=/a b"])
    assert recipe.steps == 7
    assert recipe.optimiser.learning_rate == 0.5
    assert recipe.data.root == "/a b"


def test_own_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("steps: 3\n")
    assert load_recipe(path).steps == 3


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["stepps=7"], "stepps"),
        (["steps=-1"], "steps is -1; expected greater than or equal to 1"),
        (["steps"], "has no value"),
    ],
)
def test_wrong_override_is_explained(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_recipe("camvid", overrides)


def test_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="camvid, synthetic"):
        load_recipe("nothing")


def test_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        load_recipe("gone.yaml")
