"""Whether tensors are those of a network: none missing, none too much, every shape right."""

from collections.abc import Callable, Mapping

from torch import Tensor

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard


def keep_name(key: str) -> str:
    """Return a tensor's name as it is."""
    return key


def check_state_dict(
    tensors: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    card: ModelCard,
    source: str,
    *,
    named: int | None,
    name_in_file: Callable[[str], str] = keep_name,
) -> None:
    """Compare keys and shapes; the number of classes first, since it is the likeliest.

    The first `named` differences are told, all where that is None, each under the name that
    the tensor has in the file.

    Raises:
        WeightsError: the tensors aren't those of the card's network.
    """
    logits = tensors.get("ocr.cls_head.weight")
    if logits is not None and logits.dim() and len(logits) != len(card.label_set.classes):
        raise WeightsError.from_parts(
            f"the network of {source!r} has {len(logits)} classes",
            f"the {len(card.label_set.classes)} of its card's label set {card.label_set.name!r}",
            "take the label set that the network was trained with",
        )
    differences = _list_differences(tensors, wanted, name_in_file)
    if differences:
        told = differences[:named]
        more = len(differences) - len(told)
        raise WeightsError.from_parts(
            f"the network of {source!r} {', '.join(told)}{f' and {more} more' if more else ''}",
            f"the tensors of {card.architecture} with ocr_mid {card.ocr_mid}, "
            f"ocr_key {card.ocr_key} and attention_mid {card.attention_mid}",
            "take a file made for this network",
        )


def _list_differences(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name_in_file: Callable[[str], str]
) -> list[str]:
    differences = [f"lacks {name_in_file(key)}" for key in wanted if key not in tensors]
    differences += [f"has {name_in_file(key)} besides" for key in tensors if key not in wanted]
    differences += [
        f"{name_in_file(key)} is {_describe(value)} where {_describe(wanted[key])} belongs"
        for key, value in tensors.items()
        if key in wanted
        and (
            value.shape != wanted[key].shape
            or value.is_floating_point() != wanted[key].is_floating_point()
        )
    ]
    return differences


def _describe(tensor: Tensor) -> str:
    kind = "float" if tensor.is_floating_point() else "integer"
    return f"{kind} {'x'.join(map(str, tensor.shape)) or 'scalar'}"
