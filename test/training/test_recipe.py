"""Recipes."""

import subprocess
import sys
from pathlib import Path

import pytest

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.training.recipe import explain_recipe, list_recipes, load_recipe


@pytest.mark.parametrize("name", list_recipes())
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
        (["stepps=7"], "recipe setting stepps is unknown; expected a setting that --dry-run lists"),
        (["steps=-1"], "steps is -1; expected greater than or equal to 1"),
        (["steps"], "has no value"),
    ],
)
def test_wrong_override_is_explained(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_recipe("camvid", overrides)


def test_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="camvid, camvid_attention, synthetic"):
        load_recipe("nothing")


def test_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        load_recipe("gone.yaml")


def test_randaugment_is_set_by_file_and_override(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("augmentation: {randaugment: {operations: 3, magnitude: 4.5}}\n")
    for overrides, expected in (
        ([], (3, 4.5)),
        (["augmentation.randaugment.magnitude=12"], (3, 12)),
        (["augmentation.randaugment={operations: 1, magnitude: 30}"], (1, 30)),
    ):
        chosen = load_recipe(path, overrides).augmentation.randaugment
        assert chosen is not None
        assert (chosen.operations, chosen.magnitude) == expected
    assert load_recipe(path, ["augmentation.randaugment=null"]).augmentation.randaugment is None
    assert load_recipe("camvid").augmentation.randaugment is None


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("augmentation.randaugment.operations=0", "operations is 0; expected greater than or"),
        ("augmentation.randaugment.magnitude=31", "magnitude is 31; expected less than or equal"),
        ("augmentation.scale_min=3", "scale_min is 3.0; expected at most augmentation.scale_max"),
        ("augmentation.blur=0", "blur_sigma is .* does not use.*change augmentation.blur"),
    ],
)
def test_augmentation_that_cannot_act_is_refused(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_recipe("train_mapillary", [override])


def test_recipe_of_another_command_is_refused_with_that_commands_line() -> None:
    with pytest.raises(ConfigError, match="run `proxia evaluate --recipe eval_cityscapes`"):
        load_recipe("eval_cityscapes")
    with pytest.raises(ConfigError, match=r"such as camvid, .*run `proxia segment --recipe dump"):
        explain_recipe("dump_folder")


def test_recipe_that_names_its_command_is_one_of_training(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("command: train\nsteps: 3\n")
    assert load_recipe(path).steps == 3
    path.write_text("command: dance\nsteps: 3\n")
    with pytest.raises(ConfigError, match="is one of `proxia dance`"):
        load_recipe(path)


def test_recipes_are_listed_by_command() -> None:
    assert list_recipes("evaluate") == ["eval_cityscapes", "eval_mapillary"]
    assert list_recipes("segment") == ["dump_cityscapes", "dump_folder"]
    assert "camvid" in list_recipes()
    assert not {*list_recipes()} & {"eval_cityscapes", "dump_folder"}


MSCALE = "model.architecture=hrnet_w18_small_v1_ocr_mscale"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["optimiser.loss=rmi", "optimiser.class_boost={car: 2}", "optimiser.class_balance=0"],
            r"class_boost is \{'car': 2.0\}, which optimiser.loss 'rmi' does not use; "
            r"expected \{\} .*loss cross_entropy.*; remove optimiser.class_boost",
        ),
        (["optimiser.loss=relaxed", "optimiser.class_balance=0.3"], "class_balance is 0.3"),
        (["optimiser.loss=image_weighted", "optimiser.class_balance=0.3"], "'image_weighted'"),
        (["optimiser.scale_weight=0.05"], "scale_weight is 0.05.*'hrnet_w18_small_v1_ocr'"),
    ],
)
def test_setting_that_cannot_act_is_refused(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_recipe("synthetic", overrides)


def test_setting_is_accepted_where_it_acts() -> None:
    recipe = load_recipe("synthetic", ["optimiser.scale_weight=0.05", MSCALE])
    assert recipe.optimiser.scale_weight == 0.05
    assert recipe.uses_class_weights
    plain = load_recipe("synthetic", ["optimiser.loss=rmi", "optimiser.class_balance=0"])
    assert not plain.uses_class_weights


def test_reading_a_recipe_does_without_torch() -> None:
    program = (
        "import sys; from proxia_segmentation_ros.training import load_recipe; "
        "load_recipe('camvid'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_recipes_of_the_reference_have_its_values() -> None:
    cityscapes, sota, vistas = (
        load_recipe(name)
        for name in ("train_cityscapes", "train_cityscapes_sota", "train_mapillary")
    )
    recipes = (cityscapes, sota, vistas)
    for recipe in recipes:
        chosen = recipe.optimiser
        assert (chosen.name, chosen.loss, chosen.momentum) == ("sgd", "rmi", 0.9)
        assert (chosen.weight_decay, chosen.aux_weight, chosen.decay_all) == (1e-4, 0.4, True)
        assert recipe.data.class_uniform is not None
        assert not recipe.uses_class_weights
    assert [recipe.optimiser.learning_rate for recipe in recipes] == [5e-3, 1e-2, 5e-3]
    assert [recipe.optimiser.poly_power for recipe in recipes] == [2, 2, 1]
    assert [recipe.optimiser.scale_weight for recipe in recipes] == [0.05, 0.05, 0]
    # Epochs times whole batches of all GPUs in an epoch.
    assert cityscapes.steps == 175 * (2975 // 8)
    assert sota.steps == 175 * (2975 // 16)
    assert vistas.steps == 200 * (18000 // (8 * vistas.batch_size))
    names = load_label_set("cityscapes").names
    boosted = [names.index(name) for name in sota.data.class_uniform.coarse_classes]
    assert boosted == [3, 4, 6, 7, 9, *range(11, 19)]
    dropped = [names.index(name) for name in sota.data.coarse_options["dropout_classes"]]
    assert dropped == [14, 15, 16]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data.options={cross_validation: 1}"], "data.dataset 'folder' does not use"),
        (["data.coarse_dataset=cityscapes_coarse"], "coarse_dataset is 'cityscapes_coarse'"),
        (["data.train_limit=5"], "train_limit is 5, which data.folder_weight 0.0 does not use"),
        (
            ["data.class_uniform.share=0.5"],
            r"class_uniform is \{.*acts with a folder_weight above 0",
        ),
        (["data.long_side=300"], "long_side is 300, which data.folder_weight 0.0"),
        (["data.coarse_root=x"], "data.coarse_root is 'x', which data.coarse_dataset '' does not"),
        (["data.coarse_split=x"], "coarse_split is 'x'"),
        (["data.coarse_options={auto_labels: x}"], "coarse_options is {'auto_labels': 'x'}"),
        (["data.dataset=camvid", "data.images=mine"], "data.dataset 'camvid' does not use"),
        (["optimiser.momentum=0.5"], "momentum is 0.5, which optimiser.name 'adamw'"),
        (["optimiser.poly2_from=0.5"], "optimiser.schedule 'poly' does not use"),
        (["model.initial_partial=true"], "initial_partial is True"),
    ],
)
def test_idle_settings_of_data_and_optimiser_are_refused(
    overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_recipe("synthetic", overrides)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("steps.x=3", r"override 'steps.x=3' sets a part of steps, which is \d+; expected a group"),
        ("seed=[1", r"override 'seed=\[1' is no YAML"),
    ],
)
def test_malformed_override_is_named(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_recipe("synthetic", [override])


def test_setting_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """YAML itself takes the last."""
    path = tmp_path / "twice.yaml"
    path.write_text("steps: 5\nseed: 1\nsteps: 7\n")
    with pytest.raises(ConfigError, match="key 'steps' is there twice"):
        load_recipe(path)


def test_override_fills_a_group_that_the_file_left_empty(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("optimiser:\n")
    assert load_recipe(path, ["optimiser.warmup_steps=7"]).optimiser.warmup_steps == 7
