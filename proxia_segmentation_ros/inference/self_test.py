"""Checks a network, as a backend runs it, with the picture in its weight file.

A compiled network may come from a damaged cache entry, a card may be edited by hand, a precision
may not suit the processor: all of these give labels, and nobody would see that they are wrong.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from proxia_segmentation_ros.backends.contract import ALONE, Backend, FramePlan, LabelledImage, Lane
from proxia_segmentation_ros.backends.network_source import LoadedNetwork, NetworkSource
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError, ProxiaError, WeightsError
from proxia_segmentation_ros.model.card import IMAGENET_MEAN, IMAGENET_STD, ModelCard
from proxia_segmentation_ros.model.self_test import SelfTest

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

# Shares of equal labels among the pixels that the network is sure of, measured in
# docs/decisions/014-self-test.md: a sound network reaches 1.000 in its own size.
MIN_AGREEMENT = 0.985
# In another size, with other scales or without some tiles, sound networks reached 0.908 to 0.999.
MIN_AGREEMENT_OTHERWISE = 0.9
# Against PyTorch with equal size and scales, for what computes in less than f32 or skips tiles.
MIN_AGREEMENT_ROUNDED = 0.8
# (mean, std) of values 0..1 that networks are commonly trained with.
USUAL_NORMALISATIONS = {
    "ImageNet's mean and deviation": (IMAGENET_MEAN, IMAGENET_STD),
    "values 0..1": ((0.0,) * 3, (1.0,) * 3),
    "values -1..1": ((0.5,) * 3, (0.5,) * 3),
    "values 0..255": ((0.0,) * 3, (1 / 255,) * 3),
}


@dataclass(frozen=True)
class _CompiledNetwork:
    """A network as a backend runs it: in this size and these scales, for this batch and lane."""

    backend: Backend
    scales: tuple[float, ...]
    network_hw: SizeHW
    batch: int
    lane: Lane

    @property
    def is_exact(self) -> bool:
        """Whether it computes every tile, in f32."""
        return self.backend.precision == "f32" and not self.backend.is_pruned

    def is_like(self, card: ModelCard) -> bool:
        """Tell whether size and scales are those of the card, and no tile is left out."""
        scales = tuple(sorted(set(card.scales)))
        is_whole = not self.backend.is_pruned
        return is_whole and self.network_hw == card.size_hw and self.scales == scales

    def run(self, self_test: SelfTest) -> tuple[float, bool]:
        """Return the smallest agreement, 0..1, of a batch, and whether every tile was run."""
        plan = _make_plan(self_test.image_HWC, self.network_hw, with_confidence=False)
        runner = self.backend.prepare((plan,) * self.batch, self.lane)
        labelled = runner([self_test.image_HWC] * self.batch, 0.0, StageClock())
        is_complete = all(image.tiles_run == image.tiles_total for image in labelled)
        return min(self_test.compare(image.labels_HW) for image in labelled), is_complete


def check_network(
    backend: Backend,
    source: NetworkSource,
    scales: tuple[float, ...],
    network_hw: SizeHW,
    batch: int = 1,
    lane: Lane = ALONE,
) -> None:
    """Run the self-test of the weights, if they have one.

    In another size, or with other scales, a sound network may label the picture differently. So
    what fails is run in PyTorch too, which decides. A network that came from the cache on disk and
    is not what its weights are is removed there and made anew once.

    Raises:
        BackendError: the backend or the precision labels the picture otherwise than the weights.
        WeightsError: the weights do so themselves, or with their card; or can't be loaded.
    """
    self_test, card = source.self_test, source.card
    if self_test is None:
        return
    compiled = _CompiledNetwork(backend, scales, network_hw, batch, lane)
    agreement, _ = compiled.run(self_test)
    if agreement >= (MIN_AGREEMENT if compiled.is_like(card) else MIN_AGREEMENT_OTHERWISE):
        return
    problem = (
        f"{backend.name} in {backend.precision} labels {100 * agreement:.1f} % of the self-test "
        f"picture of {card.name!r} as it should"
    )
    model = source.load()
    if not _agrees_exactly(self_test, model, card):
        raise _explain_weights(problem, self_test, model, card)
    expected = make_self_test(
        model, card, self_test.image_HWC, network_hw=network_hw, scales=scales
    )
    _compare_with_pytorch(compiled, expected, card.name, problem)


def _compare_with_pytorch(
    compiled: _CompiledNetwork, expected: SelfTest, name: str, problem: str
) -> None:
    """Compare with what PyTorch makes of sound weights in the same size and scales."""
    backend = compiled.backend
    bound = MIN_AGREEMENT if compiled.is_exact else MIN_AGREEMENT_ROUNDED
    agreement, is_complete = compiled.run(expected)
    if agreement >= bound:
        return
    if not is_complete:
        # Scales or tiles were left out, as the settings ask: that may be the difference.
        logger.info("the self-test of %s ran without some tiles: %s", name, problem)
        return
    if backend.discard_cached(compiled.network_hw, compiled.batch):
        logger.warning(
            "the cached network of %s labels %.1f %% of its self-test picture as its weights do; "
            "it is removed and made anew",
            name,
            100 * agreement,
        )
        if compiled.run(expected)[0] >= bound:
            return
    raise _explain_backend(problem, backend.precision, bound)


class NetworkTests:
    """The self-tests of a segmenter's networks: one for each size, batch and share of threads."""

    def __init__(
        self, source: NetworkSource, scales: tuple[float, ...], tested_hw: SizeHW | None
    ) -> None:
        """`tested_hw` is the size whose network has passed, for one image in all threads."""
        self._source = source
        self._scales = scales
        # What failed is kept, so that it is not tried again for every frame.
        self._results: dict[tuple[SizeHW | None, int, int], ProxiaError | None] = {
            (tested_hw, 1, ALONE.share): None
        }

    def check(self, backend: Backend, network_hw: SizeHW, batch: int, lane: Lane) -> None:
        """Run the self-test where this network serves for the first time; see `check_network`."""
        key = network_hw, batch, lane.share
        if key not in self._results:
            try:
                check_network(backend, self._source, self._scales, network_hw, batch, lane)
                self._results[key] = None
            except ProxiaError as error:
                self._results[key] = error
        found = self._results[key]
        if found is not None:
            raise found


def make_self_test(
    model: "nn.Module",
    card: ModelCard,
    image_HWC: np.ndarray,
    *,
    network_hw: SizeHW | None = None,
    scales: tuple[float, ...] = (),
) -> SelfTest:
    """Return the picture (uint8 RGB, H, W, 3) with the labels of eager PyTorch in float32.

    Size and scales of the network are those of the card unless given.

    Raises:
        ConfigError: the network can't run at this size or these scales.
    """
    found = _run_exactly(model, card, image_HWC, network_hw or card.size_hw, scales or card.scales)
    unlabeled_id = card.to_label_set().unlabeled_id
    # The plan asks for a confidence, so there is one.
    confidence_HW = np.asarray(found.confidence_HW)
    return SelfTest.from_result(image_HWC, found.labels_HW, confidence_HW, unlabeled_id)


def _make_plan(image_HWC: np.ndarray, network_hw: SizeHW, *, with_confidence: bool) -> FramePlan:
    height, width = image_HWC.shape[:2]
    return FramePlan(
        input_hw=(height, width),
        network_hw=network_hw,
        output_hw=(height, width),
        with_confidence=with_confidence,
    )


def _run_exactly(
    model: "nn.Module",
    card: ModelCard,
    image_HWC: np.ndarray,
    network_hw: SizeHW,
    scales: tuple[float, ...],
) -> LabelledImage:
    from proxia_segmentation_ros.backends.torch.backend import TorchBackend

    plan = _make_plan(image_HWC, network_hw, with_confidence=True)
    source = LoadedNetwork(model, card)
    backend = TorchBackend(source, precision="f32", scales=scales, threads=0)
    return backend.prepare((plan,))([image_HWC], 0.0, StageClock())[0]


def _agrees_exactly(self_test: SelfTest, model: "nn.Module", card: ModelCard) -> bool:
    found = _run_exactly(model, card, self_test.image_HWC, card.size_hw, card.scales)
    return self_test.compare(found.labels_HW) >= MIN_AGREEMENT


def _explain_weights(
    problem: str, self_test: SelfTest, model: "nn.Module", card: ModelCard
) -> WeightsError:
    """Return the error that names what looks guilty, found by trying other cards."""
    rule = _say_rule(MIN_AGREEMENT)
    for guilty, changed, remedy in _list_suspects(card):
        if _agrees_exactly(self_test, model, changed):
            return WeightsError.from_parts(f"{problem}: {guilty} looks guilty", rule, remedy)
    return WeightsError.from_parts(
        f"{problem}, nor does PyTorch, in any colour order and with any usual normalisation: the "
        "weights look guilty",
        rule,
        "get the file again, or restore it from a copy",
    )


def _list_suspects(card: ModelCard) -> Iterator[tuple[str, ModelCard, str]]:
    """Yield what may be wrong in the card, the card without that, and the remedy."""
    other = "bgr" if card.channel_order == "rgb" else "rgb"
    yield (
        f"the colour order {card.channel_order} of its card",
        card.model_copy(update={"channel_order": other}),
        f"write the file with a card that says {other}",
    )
    for name, (mean, std) in USUAL_NORMALISATIONS.items():
        if not np.allclose((mean, std), (card.mean, card.std), atol=1e-3):
            yield (
                f"the normalisation of its card, mean {card.mean} and std {card.std},",
                card.model_copy(update={"mean": mean, "std": std}),
                f"write the file with a card that says {mean} and {std} ({name})",
            )


def _explain_backend(problem: str, precision: str, bound: float) -> BackendError:
    rule = _say_rule(bound)
    if precision == "f32":
        return BackendError.from_parts(
            f"{problem}, while PyTorch does: the compiled network looks guilty",
            rule,
            "set inference.backend to torch, and report it",
        )
    return BackendError.from_parts(
        f"{problem}, while PyTorch in f32 does: the precision looks guilty",
        rule,
        "set inference.precision to f32",
    )


def _say_rule(bound: float) -> str:
    return f"at least {100 * bound:.1f} % of the pixels that it was sure of"
