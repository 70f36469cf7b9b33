"""Run a batch on the GPU; images and labels are copied through pinned memory."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from proxia_segmentation_ros.backends.contract import FramePlan, LabelledImage
from proxia_segmentation_ros.backends.preprocess import resize_image
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.backends.tensorrt.device import Device, Engine
from proxia_segmentation_ros.config import SizeHW

SLOTS = 2


class NetworkFeed:
    """A network's input on the device and two pinned buffers (double buffering).

    While an image is copied to the GPU, the CPU writes the next one.
    """

    def __init__(self, device: Device, engine: Engine, network_hw: SizeHW, batch: int) -> None:
        shape = (*network_hw, 3)
        self._device = device
        self._images = device.allocate((batch, *shape), torch.uint8)
        self._slots = [device.allocate_host(shape, torch.uint8) for _ in range(SLOTS)]
        self._views = [slot.numpy() for slot in self._slots]
        self._waits: list[Callable[[], None]] = [_nothing_to_wait_for] * SLOTS
        self._turn = 0
        self.network = engine.bind([self._images])

    def put(self, index: int, image_HWC: np.ndarray) -> None:
        """Start the copy of an image, of the network's size, into the batch."""
        slot, self._turn = self._turn, (self._turn + 1) % SLOTS
        self._waits[slot]()
        np.copyto(self._views[slot], image_HWC)
        self._images[index].copy_(self._slots[slot], non_blocking=True)
        self._waits[slot] = self._device.mark()


class ArgmaxOutput:
    """Argmax engine of an image, with its results on the device and in pinned memory."""

    def __init__(
        self, device: Device, engine: Engine, logits_1KHW: Tensor, least_1: Tensor, is_narrow: bool
    ) -> None:
        self._device = device
        self._engine = engine.bind([logits_1KHW, least_1])
        ids, confidence = self._engine.outputs
        # torch casts int32 to uint8, which the engine can't: a quarter of the bytes to copy.
        kinds = (torch.uint8 if is_narrow else torch.int32, torch.uint8)
        self._results = [
            device.allocate(output.shape, kind)
            for output, kind in zip((ids, confidence), kinds, strict=True)
        ]
        self._pinned = [
            device.allocate_host(result.shape, result.dtype) for result in self._results
        ]
        self._views = [pinned.numpy()[0] for pinned in self._pinned]

    def enqueue(self) -> None:
        """Enqueue the engine and the cast."""
        self._engine.enqueue()
        for narrow, wide in zip(self._results, self._engine.outputs, strict=True):
            narrow.copy_(wide)

    def fetch(self, with_confidence: bool) -> Callable[[], list[np.ndarray]]:
        """Start the copy to the CPU; the returned function waits and returns pinned memory.

        The next `fetch` overwrites them.
        """
        wanted = 1 + with_confidence
        for pinned, result in zip(self._pinned[:wanted], self._results, strict=False):
            pinned.copy_(result, non_blocking=True)
        wait = self._device.mark()

        def finish() -> list[np.ndarray]:
            wait()
            return self._views[:wanted]

        return finish


class TensorRtRunner:
    """Runs plans as a batch; everything between the copies is a single CUDA graph."""

    def __init__(
        self,
        device: Device,
        feed: NetworkFeed,
        argmax_engines: Sequence[Engine],
        plans: tuple[FramePlan, ...],
        label_dtype: type[np.generic],
        scales: tuple[float, ...],
    ) -> None:
        self._device = device
        self._feed = feed
        self._plans = plans
        self._label_dtype = label_dtype
        self._scales = scales
        is_narrow = label_dtype is np.uint8
        with device.use_stream():
            self._least = device.allocate((1,), torch.float32)
            self._parts = self._split_logits()
            self._outputs = [
                ArgmaxOutput(device, engine, part, self._least, is_narrow)
                for engine, part in zip(argmax_engines, self._parts, strict=True)
            ]
            self._replay = device.record(self._enqueue)

    def __call__(
        self, images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
    ) -> list[LabelledImage]:
        with self._device.use_stream():
            for index, (image_HWC, plan) in enumerate(zip(images_HWC, self._plans, strict=True)):
                self._feed.put(index, resize_image(image_HWC, plan.network_hw))
            self._least.fill_(min_confidence)
            clock.mark("pre")
            self._replay()
            wait = self._device.mark()
            fetches = [
                output.fetch(plan.with_confidence)
                for output, plan in zip(self._outputs, self._plans, strict=True)
            ]
            wait()
            clock.mark("infer")
            labelled = list(self._collect(fetches))
        clock.mark("post")
        return labelled

    def _split_logits(self) -> list[Tensor]:
        """Return memory for each image's logits: TensorRT needs aligned addresses."""
        logits_NKHW = self._feed.network.outputs[0]
        if len(self._plans) == 1:
            return [logits_NKHW]
        shape = (1, *logits_NKHW.shape[1:])
        return [self._device.allocate(shape, logits_NKHW.dtype) for _ in self._plans]

    def _enqueue(self) -> None:
        self._feed.network.enqueue()
        if len(self._parts) > 1:
            for index, part in enumerate(self._parts):
                part.copy_(self._feed.network.outputs[0][index : index + 1])
        for output in self._outputs:
            output.enqueue()

    def _collect(
        self, fetches: Sequence[Callable[[], list[np.ndarray]]]
    ) -> Iterator[LabelledImage]:
        for finish in fetches:
            labels_HW, *confidence = finish()
            yield LabelledImage(
                labels_HW.astype(self._label_dtype),
                confidence[0].copy() if confidence else None,
                scales=self._scales,
            )


def _nothing_to_wait_for() -> None:
    """Wait for nothing: there is no copy before the first."""
