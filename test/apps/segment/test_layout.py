"""Names of outputs: none for two images, each file whole."""

from pathlib import Path

import pytest

from proxia_segmentation_ros.apps.output_file import write_output
from proxia_segmentation_ros.apps.segment.layout import (
    KINDS,
    Layout,
    parse_kinds,
    plan_tasks,
)
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.sources.image_files import InputFile


def plan(names: list[str], *kinds: str) -> list[list[str]]:
    """Return the outputs of files of these names, in their order."""
    files = [InputFile(Path("in", name), Path(name).parent) for name in names]
    tasks = plan_tasks(files, Layout(kinds, ((0.5, 1.0), (1.0, 2.0))))
    return [[str(path) for paths in task.outputs.values() for path in paths] for task in tasks]


def test_files_of_one_stem_keep_their_suffix() -> None:
    assert plan(["a.png", "a.jpg", "b.png"], "labels") == [
        ["a_png_labels.png"],
        ["a_jpg_labels.png"],
        ["b_labels.png"],
    ]


def test_same_names_in_different_folders_do_not_clash() -> None:
    assert plan(["a.png", "x/a.png"], "labels") == [["a_labels.png"], ["x/a_labels.png"]]


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "a.jpg", "a_png.bmp"],
        ["a.b.png", "a_b.png", "a.b.jpg", "a_b.jpg"],
        ["A.png", "a.png"],
        ["a.png", "a_prob.png", "a_prob_png.jpg"],
        ["a.png", "a_overlay.png", "submission/a_overlay.png", "autolabels/a.png"],
        ["a.png", "submission/a.png", "submission/a_labels.png", "a_labels.png"],
    ],
)
def test_no_output_belongs_to_two_images(names: list[str]) -> None:
    outputs = [path.casefold() for paths in plan(names, *KINDS) for path in paths]
    assert len(set(outputs)) == len(outputs) == len(names) * (len(KINDS) + 2)


def test_image_whose_stem_is_its_own_keeps_its_name_beside_clashing_ones() -> None:
    assert plan(["a.png", "a.jpg", "a_png.bmp"], "labels")[2] == ["a_png_labels.png"]


def test_names_too_long_for_a_disk_are_cut_and_still_differ(tmp_path: Path) -> None:
    names = ["ü" * 125 + end for end in ("a.png", "b.png", "b.jpg")]
    outputs = plan(names, "labels", "attention")
    assert len({path for paths in outputs for path in paths}) == 3 * 3
    for paths in outputs:
        write_output(tmp_path / paths[1], b"content")


def test_attention_has_a_picture_for_each_pair_of_scales() -> None:
    assert plan(["a.png"], "attention") == [["a_attention_0.5x_1x.png", "a_attention_1x_2x.png"]]


def test_kinds_are_read_and_others_refused() -> None:
    assert parse_kinds("labels, overlay,labels") == ("labels", "overlay")
    for text in ("labels,film", "", ","):
        with pytest.raises(ConfigError, match="some of overlay"):
            parse_kinds(text)
