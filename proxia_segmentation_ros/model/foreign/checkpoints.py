"""Read foreign checkpoints: rename their tensors and derive a model card."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.foreign import mmsegmentation, nvidia
from proxia_segmentation_ros.model.foreign.unpickle import read_state_dict
from proxia_segmentation_ros.model.state_dict_check import keep_name


class ForeignCheckpoint(NamedTuple):
    """Tensors under this package's names, a card, and the mapping of names back to the file's."""

    tensors: dict[str, Tensor]
    card: ModelCard
    name_in_file: Callable[[str], str]


def read_foreign_checkpoint(path: Path) -> ForeignCheckpoint:
    """Read a checkpoint of NVIDIA/semantic-segmentation or mmsegmentation; no code in it runs.

    Completeness and shapes of the tensors are checked by `load_foreign`.

    Raises:
        WeightsError: the file can't be read safely or holds an unsupported network.
    """
    tensors, content = read_state_dict(path)
    if any(key.startswith(mmsegmentation.MARK) for key in tensors):
        ours = mmsegmentation.translate(path, tensors)
        card = mmsegmentation.derive_card(path, ours, content)
        return ForeignCheckpoint(ours, card, mmsegmentation.name_in_file)
    return ForeignCheckpoint(tensors, nvidia.derive_card(path, tensors, content), keep_name)
