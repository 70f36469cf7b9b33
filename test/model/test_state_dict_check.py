"""Whether tensors are those of the card's network."""

import pytest
import torch
from tiny_network import make_card
from torch import Tensor

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.state_dict_check import check_state_dict

CARD = make_card()
HEAD = "ocr.cls_head.weight"
WANTED = {HEAD: torch.zeros(11, 4, 1, 1), "bias": torch.zeros(11), "count": torch.tensor(0)}


def check(tensors: dict[str, Tensor], max_listed: int | None = None) -> None:
    check_state_dict(
        tensors,
        WANTED,
        CARD,
        "file",
        max_listed=max_listed,
        name_in_file=lambda key: f"their {key}",
    )


def test_equal_shapes_pass_whatever_the_values() -> None:
    check({name: tensor + 1 for name, tensor in WANTED.items()})


def test_number_of_classes_is_told_before_anything_else() -> None:
    with pytest.raises(WeightsError, match=r"'file' has 7 classes.*the 11 of its card.*'test11'"):
        check({HEAD: torch.zeros(7, 4, 1, 1)})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"more": torch.zeros(1)}, "has their more besides"),
        ({"bias": torch.zeros(3)}, "their bias is float 3 where float 11 belongs"),
        ({"count": torch.tensor(0.5)}, "their count is float scalar where integer scalar belongs"),
    ],
)
def test_differences_are_told_under_the_names_of_the_file(
    changes: dict[str, Tensor], sentence: str
) -> None:
    with pytest.raises(WeightsError, match=sentence):
        check(WANTED | changes)


def test_first_differences_are_named_and_the_others_counted() -> None:
    with pytest.raises(WeightsError, match="lacks their bias and 1 more"):
        check({HEAD: WANTED[HEAD]}, max_listed=1)
