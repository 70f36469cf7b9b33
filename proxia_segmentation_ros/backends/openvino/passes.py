"""Passes at single scales as compiled OpenVINO graphs, each of static shapes, made on first use."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
import openvino as ov

from proxia_segmentation_ros.backends.contract import FramePlan, LabelledImage
from proxia_segmentation_ros.backends.graph.openvino_passes import (
    ConvertPart,
    convert_exact_fusion,
    convert_full_image_pass,
    convert_gating_score,
    convert_last_of_two,
    convert_last_scale,
    convert_next_scale,
    convert_tile_pass,
)
from proxia_segmentation_ros.backends.network_source import NetworkSource
from proxia_segmentation_ros.backends.scale_passes import FusedMaps, ScaleMaps, list_maps
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.model.quantisation import Range

# Takes the activation ranges for int8.
ConvertGraph: TypeAlias = Callable[[Mapping[str, Range]], ov.Model]
LabelLogits: TypeAlias = Callable[[np.ndarray, FramePlan, float], LabelledImage]


class CompilePart(Protocol):
    """The backend's compiler."""

    def __call__(
        self, part: str, network_hw: SizeHW, convert: ConvertGraph, *, is_network: bool
    ) -> ov.CompiledModel: ...


class OpenVinoPasses:
    """`ScalePasses` of the OpenVINO backend, with its compiler and its argmax post-processing."""

    tile_batches: tuple[int, ...] = (1, 2, 4)

    def __init__(
        self,
        source: NetworkSource,
        network_hw: SizeHW,
        compile_part: CompilePart,
        label_logits: LabelLogits,
    ) -> None:
        self._source = source
        self._network_hw = network_hw
        self._compile_part = compile_part
        self._label_logits = label_logits
        self._requests: dict[str, Any] = {}

    def run_full_image(self, image_HWC: np.ndarray, scale: float, *, is_largest: bool) -> ScaleMaps:
        """Run the full image, given at network size, at a scale."""
        convert = partial(convert_full_image_pass, self._source, scale, is_largest)
        name = f"whole {scale:g}" + " largest" * is_largest
        return ScaleMaps(*self._run(name, convert, image_HWC[None]))

    def run_tiles(
        self, windows_THWC: np.ndarray, context_1CK1: np.ndarray, *, is_largest: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return logits_TKhw and attention_T1hw."""
        convert = partial(convert_tile_pass, self._source, is_largest)
        context_TCK1 = np.repeat(context_1CK1, len(windows_THWC), 0)
        name = "tiles" + " largest" * is_largest
        found = self._run(name, convert, windows_THWC, context_TCK1)
        return found[0], None if is_largest else found[1]

    def start_fusion(self, maps: ScaleMaps) -> FusedMaps:
        """Return the smallest scale as the first fused maps, with its gating score."""
        weight, gating = self._run("gating", convert_gating_score, *list_maps(maps))
        return FusedMaps(maps.logits_1Khw, maps.logits_1Khw, weight, gating)

    def fuse(
        self,
        before: FusedMaps,
        logits_1Khw: np.ndarray,
        attention_11hw: np.ndarray,
        has_run_11hw: np.ndarray,
    ) -> FusedMaps:
        """Fuse a larger scale where it has run."""
        given = (before.fused_1Khw, before.logits_1Khw, before.weight_11hw)
        fused, weight, gating = self._run(
            "next scale", convert_next_scale, *given, logits_1Khw, attention_11hw, has_run_11hw
        )
        return FusedMaps(fused, logits_1Khw, weight, gating)

    def fuse_last(
        self, before: FusedMaps, logits_1Khw: np.ndarray, has_run_11hw: np.ndarray
    ) -> np.ndarray:
        """Fuse the largest scale where it has run; return fused_1Khw."""
        found = (before.weight_11hw, logits_1Khw, has_run_11hw)
        if before.fused_1Khw is before.logits_1Khw:
            return self._run("last of two", convert_last_of_two, before.fused_1Khw, *found)[0]
        given = (before.fused_1Khw, before.logits_1Khw, *found)
        return self._run("last scale", convert_last_scale, *given)[0]

    def fuse_full_images(self, maps: dict[float, ScaleMaps]) -> np.ndarray:
        """Fuse full-image passes exactly as the network does; return logits_1KHW of its size."""
        scales = sorted(maps)
        convert = partial(convert_exact_fusion, scales, self._network_hw)
        name = "fusing of " + " ".join(f"{scale:g}" for scale in scales)
        return self._run(name, convert, *(array for s in scales for array in list_maps(maps[s])))[0]

    def label(
        self, logits_1Khw: np.ndarray, plan: FramePlan, min_confidence: float
    ) -> LabelledImage:
        """Run the argmax post-processing on logits of any size."""
        return self._label_logits(logits_1Khw, plan, min_confidence)

    def _run(self, part: str, convert: ConvertPart, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run a part on inputs of these shapes; its next run overwrites the returned arrays."""
        shapes = ", ".join("x".join(map(str, array.shape)) for array in arrays)
        name = f"{part} ({shapes})"
        request = self._requests.get(name)
        if request is None:
            compiled = self._compile_part(
                name,
                self._network_hw,
                lambda ranges: convert(arrays, ranges),
                is_network=arrays[0].dtype == np.uint8,
            )
            request = self._requests[name] = compiled.create_infer_request()
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
        try:
            request.infer()
        except RuntimeError as error:
            raise BackendError.from_parts(
                f"OpenVINO failed on {name} ({error})",
                "a network that runs",
                "set inference.backend to torch, or report it",
            ) from error
        return tuple(tensor.data for tensor in request.output_tensors)
