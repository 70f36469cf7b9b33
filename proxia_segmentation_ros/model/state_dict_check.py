"""Check a state dict against a network: keys, shapes and kinds of tensors."""

from collections.abc import Callable, Mapping

from torch import Tensor

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard


def keep_name(key: str) -> str:
    """Return the key unchanged: the name mapping of files that use this package's names."""
    return key


def check_state_dict(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    card: ModelCard,
    source: str,
    *,
    max_listed: int | None,
    name_in_file: Callable[[str], str] = keep_name,
) -> None:
    """Compare keys and shapes with `expected`, the state dict of the card's network.

    The number of classes is checked first: it is the most common mistake. The message lists the
    first `max_listed` differences (all if None), with each tensor's name in the file.

    Raises:
        WeightsError: the tensors do not belong to the card's network.
    """
    logits = tensors.get("ocr.cls_head.weight")
    if logits is not None and logits.dim() and len(logits) != len(card.label_set.classes):
        raise WeightsError.from_parts(
            f"the network of {source!r} has {len(logits)} classes",
            f"the {len(card.label_set.classes)} of its card's label set {card.label_set.name!r}",
            "use the label set that the network was trained with",
        )
    differences = _list_differences(tensors, expected, name_in_file)
    if differences:
        listed = differences[:max_listed]
        more = len(differences) - len(listed)
        raise WeightsError.from_parts(
            f"the network of {source!r} {', '.join(listed)}{f' and {more} more' if more else ''}",
            f"the tensors of {card.architecture} with ocr_mid {card.ocr_mid}, "
            f"ocr_key {card.ocr_key} and attention_mid {card.attention_mid}",
            "use a file made for this network",
        )


def _list_differences(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    name_in_file: Callable[[str], str],
) -> list[str]:
    differences = [f"lacks {name_in_file(key)}" for key in expected if key not in tensors]
    differences += [f"has {name_in_file(key)} besides" for key in tensors if key not in expected]
    differences += [
        f"{name_in_file(key)} is {_describe(value)} where {_describe(expected[key])} belongs"
        for key, value in tensors.items()
        if key in expected
        and (
            value.shape != expected[key].shape
            or value.is_floating_point() != expected[key].is_floating_point()
        )
    ]
    return differences


def _describe(tensor: Tensor) -> str:
    kind = "float" if tensor.is_floating_point() else "integer"
    return f"{kind} {'x'.join(map(str, tensor.shape)) or 'scalar'}"
