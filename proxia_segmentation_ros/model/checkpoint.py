"""Load and save weight files: safetensors with a model card, and foreign `.pth` checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from proxia_segmentation_ros.errors import ConfigError, WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import CARD_KEY, explain_unreadable, read_card
from proxia_segmentation_ros.model.foreign.checkpoints import (
    ForeignCheckpoint,
    read_foreign_checkpoint,
)
from proxia_segmentation_ros.model.lookup import SUFFIX, find_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import (
    HRNetOcr,
    HRNetOcrMultiScale,
    build_model,
)
from proxia_segmentation_ros.model.self_test import SELFTEST_PREFIX
from proxia_segmentation_ros.model.state_dict_check import check_state_dict
from proxia_segmentation_ros.model.weight_file import check_content, write_weight_file

Network: TypeAlias = HRNetOcr | HRNetOcrMultiScale

COUNTER_SUFFIX = "num_batches_tracked"
MAX_LISTED_DIFFERENCES = 3
CONVOLUTION_NDIM = 4


def load_weights(path_or_name: str | Path) -> tuple[Network, ModelCard]:
    """Load weights by name, or a safetensors or foreign `.pth` file by path.

    The network is in float32 and in eval mode.

    Raises:
        WeightsError: the file is missing, damaged, unsafe or does not fit its card.
    """
    path = find_weights(path_or_name)
    if path.suffix != SUFFIX:
        foreign = read_foreign_checkpoint(path)
        return load_foreign(foreign, str(path)), foreign.card
    card = read_card(path)
    check_content(path)
    tensors = {
        key: value
        for key, value in _read_tensors(path).items()
        if not key.startswith(SELFTEST_PREFIX)
    }
    model = _build_empty(card, str(path))
    check_state_dict(
        tensors, model.state_dict(), card, str(path), max_listed=MAX_LISTED_DIFFERENCES
    )
    return _fill(model, tensors, str(path)), card


def load_foreign(
    foreign: ForeignCheckpoint, source: str, *, max_listed: int | None = MAX_LISTED_DIFFERENCES
) -> Network:
    """Return the network of a foreign checkpoint, in float32 and in eval mode.

    Raises:
        WeightsError: a tensor is missing, unexpected or of the wrong shape. The message lists
            the first `max_listed` differences, all of them if it is None.
    """
    model = _build_empty(foreign.card, source)
    check_state_dict(
        foreign.tensors, model.state_dict(), foreign.card, source,
        max_listed=max_listed, name_in_file=foreign.name_in_file,
    )  # fmt: skip
    return _fill(model, foreign.tensors, source)


def _fill(model: Network, tensors: Mapping[str, Tensor], source: str) -> Network:
    network_tensors = {
        key: value.to(torch.int64 if key.endswith(COUNTER_SUFFIX) else torch.float32, copy=True)
        for key, value in tensors.items()
    }
    _check_finite(network_tensors, source)
    _check_sane(network_tensors, source)
    model.load_state_dict(network_tensors, strict=True, assign=True)
    return model.requires_grad_(True).eval()


def save_weights(
    path: str | Path,
    model: nn.Module,
    card: ModelCard,
    *,
    dtype: torch.dtype = torch.float16,
    selftest: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a weight file atomically; batch-norm tensors stay float32.

    `selftest` holds reference tensors to check a loaded network with; see `load_selftest`.

    Raises:
        WeightsError: the network does not match the card, a value overflows `dtype`, or the
            file can't be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise WeightsError.from_parts(
            f"weight file {str(path)!r} has another suffix", SUFFIX, "rename it"
        )
    tensors = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    check_state_dict(
        tensors,
        _build_empty(card, str(path)).state_dict(),
        card,
        str(path),
        max_listed=MAX_LISTED_DIFFERENCES,
    )
    kept = _list_batch_norm_keys(model)
    stored = {
        key: value if key.endswith(COUNTER_SUFFIX) else value.to(_pick_dtype(key, kept, dtype))
        for key, value in tensors.items()
    }
    _check_finite(stored, str(path))
    _check_sane(stored, str(path), "save with dtype float32, or train it")
    for key, value in (selftest or {}).items():
        stored[SELFTEST_PREFIX + key.removeprefix(SELFTEST_PREFIX)] = value.detach().cpu()
    contiguous = {key: value.contiguous() for key, value in stored.items()}
    write_weight_file(path, save(contiguous, {"format": "pt", CARD_KEY: card.to_json()}))


def load_selftest(path_or_name: str | Path) -> dict[str, Tensor]:
    """Return the tensors stored under `selftest.`, by name without that prefix.

    Raises:
        WeightsError: the file is missing or corrupt.
    """
    path = find_weights(path_or_name)
    if path.suffix != SUFFIX:
        return {}
    return {
        key.removeprefix(SELFTEST_PREFIX): value
        for key, value in _read_tensors(path).items()
        if key.startswith(SELFTEST_PREFIX)
    }


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise explain_unreadable(path, error) from error


def _build_empty(card: ModelCard, source: str) -> Network:
    """Build the card's network on the meta device, without memory for its tensors."""
    try:
        with torch.device("meta"):
            return build_model(
                card.architecture,
                len(card.label_set.classes),
                ocr_mid=card.ocr_mid,
                ocr_key=card.ocr_key,
                attention_mid=card.attention_mid,
            )
    except ConfigError as error:
        raise WeightsError(f"the model card of {source!r}: {error}") from error


def _check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    for key, value in tensors.items():
        if not bool(value.isfinite().all()):
            raise WeightsError.from_parts(
                f"tensor {key} of {source!r} holds NaN or infinity as {value.dtype}",
                "finite numbers",
                "save with dtype float32, or take weights from before training diverged",
            )


def _check_sane(
    tensors: Mapping[str, Tensor],
    source: str,
    remedy: str = "get the file again: it is damaged",
) -> None:
    """Refuse what no training makes and lost bytes do: it would label every image alike."""
    for key, value in tensors.items():
        problem = None
        if key.endswith("running_var") and bool((value < 0).any()):
            problem = "negative variances"
        elif value.ndim == CONVOLUTION_NDIM and not bool(value.any()):
            problem = "zeros alone"
        if problem is not None:
            raise WeightsError.from_parts(
                f"tensor {key} of {source!r} holds {problem}",
                "numbers that come of training",
                remedy,
            )


def _list_batch_norm_keys(model: nn.Module) -> set[str]:
    return {
        f"{name}.{key}"
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for key in module.state_dict()
    }


def _pick_dtype(key: str, kept: set[str], dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if key in kept else dtype
