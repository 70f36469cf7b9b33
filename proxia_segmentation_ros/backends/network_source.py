"""Sources of a network: a weight file that is read when needed, or a module in memory."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.lookup import find_weights
from proxia_segmentation_ros.model.quantisation import Quantisation, read_quantisation
from proxia_segmentation_ros.model.self_test import SelfTest, read_self_test
from proxia_segmentation_ros.model.weight_file import check_content

if TYPE_CHECKING:
    # A compiled network from the cache works without torch, which saves 2 s and 200 MB.
    from torch import nn

# Every file that shapes a compiled graph is in one of these; a test runs all conversions and
# fails when code outside them took part.
GRAPH_FOLDERS = ("backends/graph", "model/network")


class NetworkSource(Protocol):
    """A network with its card; `digest` names its exact weights."""

    @property
    def card(self) -> ModelCard: ...

    @property
    def digest(self) -> str: ...

    @property
    def quantisation(self) -> Quantisation | None:
        """Activation ranges for int8; None if the weights were never quantised."""

    @property
    def self_test(self) -> SelfTest | None:
        """A picture with the labels that the network gave it; None if there is none."""

    def load(self) -> "nn.Module":
        """Return the network in eval mode, float32, on the CPU."""


class WeightFile:
    """A weight file. Only `load` imports torch."""

    def __init__(self, path_or_name: str | Path) -> None:
        """Raises WeightsError: the file is missing or its card is broken."""
        self.path = find_weights(path_or_name)
        self.card = read_card(self.path)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file.

        Raises:
            WeightsError: the file is damaged.
        """
        return check_content(self.path)

    @cached_property
    def self_test(self) -> SelfTest | None:
        """The picture in the file, if there is one.

        Raises:
            WeightsError: the tensors of the self-test have another form.
        """
        return read_self_test(self.path)

    @cached_property
    def quantisation(self) -> Quantisation | None:
        """Activation ranges in the file's metadata.

        Raises:
            WeightsError: the metadata has another form.
        """
        return read_quantisation(self.path)

    def load(self) -> "nn.Module":
        """Read the weights.

        Raises:
            WeightsError: the file is corrupt or does not fit its card.
        """
        from proxia_segmentation_ros.model.checkpoint import load_weights

        return load_weights(self.path)[0]


class LoadedNetwork:
    """A network that is in memory already."""

    def __init__(self, model: "nn.Module", card: ModelCard) -> None:
        self._model = model
        self.card = card
        self.quantisation: Quantisation | None = None
        self.self_test: SelfTest | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tensors and of the card."""
        digest = hashlib.sha256(self.card.to_json().encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def load(self) -> "nn.Module":
        """Return the module itself."""
        return self._model.eval()


def hash_network_code() -> str:
    """Return a hash of the code that turns weights into a graph.

    It is part of every key of the compiled cache: new code never meets an old graph.
    """
    return hash_python_files(Path(__file__).parents[1], GRAPH_FOLDERS)


def hash_python_files(root: Path, folders: Sequence[str]) -> str:
    """Return a hash of paths and bytes of all `*.py` files in these folders below `root`."""
    digest = hashlib.sha256()
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    if not paths:
        raise BackendError.from_parts(
            f"no source file lies in {' or '.join(folders)} of {str(root)!r}",
            "the package with its *.py files, which tell whether a compiled network is current",
            "install the package with its sources",
        )
    for path in paths:
        content = path.read_bytes()
        # Lengths keep a byte from moving between a path and its content unnoticed.
        name = path.relative_to(root).as_posix().encode()
        digest.update(b"%d %d " % (len(name), len(content)) + name + content)
    return digest.hexdigest()
