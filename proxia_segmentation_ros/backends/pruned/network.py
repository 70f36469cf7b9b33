"""Attention-pruned inference: run larger scales only where they change the result.

Hierarchical multi-scale attention (Tao et al. 2020, https://arxiv.org/abs/2005.10821) runs every
scale over the whole image. The tiles are this project's addition. For each frame:

1. The smallest scale runs over the full image. Its logits start the fusion, and its object context
   (OCR) is used for tiles: a tile alone sees too little of the image.
2. The gating score of a pixel for larger scales is the weight that attention leaves to them,
   times the uncertainty (one minus the margin between the two best classes). Where the class is
   certain, a larger scale would not change it.
3. At the next scale, the tiles with a mean gating score above the threshold run, highest first,
   as far as the budget goes. If their work adds up to that of the full image, the full image runs
   instead, which also renews the object context.
4. The result is fused where tiles ran, and step 3 repeats with the next scale.
5. If every tile of every scale was wanted, the full passes are fused exactly as the network does.

In a video, tiles whose pixels have not changed are reused (tile_cache.py), and a scale that rarely
matters is skipped (scale_gate.py). Work is counted in full-image passes at scale 1.0; a pass at
scale s costs s^2. Measured on CamVid val with scales 0.5, 1, 2: a third of the time for 0.2 points
of mIoU (docs/decisions/005-attention-pruned-scales.md).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from proxia_segmentation_ros.backends.pruned.scale_gate import ScaleGate
from proxia_segmentation_ros.backends.pruned.tile_cache import TileCache, shrink_to_grey
from proxia_segmentation_ros.backends.pruned.tile_selection import choose_tiles, split_into_batches
from proxia_segmentation_ros.backends.pruned.tiles import make_grid
from proxia_segmentation_ros.backends.scale_passes import FusedMaps, ScaleMaps, ScalePasses
from proxia_segmentation_ros.config import SizeHW

# At scale 1.0; at other scales in proportion, so that a cell covers the same part of the scene.
CELL_PX = 80
# Context around a cell, in pixels of every scale. Without it mIoU fell to 0.655 (from 0.73); 32 px
# gain 0.1 points and make windows a third larger.
HALO_PX = 16
KEPT_STREAMS = 64
# Tolerance, so that a budget of exactly n tiles allows n tiles.
ROUNDING = 1e-6


@dataclass(frozen=True)
class ComputeLimits:
    """Limits for one frame; see `Pruning`."""

    threshold: float
    budget: float
    max_age: int = 0


@dataclass(frozen=True)
class PrunedOutput:
    """Fused logits, of the network's size or smaller, and what was run for them.

    `work` is in full-image passes at scale 1.0.
    """

    logits_1Khw: np.ndarray
    tiles_run: int
    tiles_total: int
    scales: tuple[float, ...]
    work: float


@dataclass
class StreamState:
    """State that is kept between the frames of a camera."""

    gate: ScaleGate
    tiles: dict[float, TileCache] = field(default_factory=dict)
    frame: int = 0


@dataclass
class _Frame:
    """An image that is being processed, from the smallest scale up."""

    image_HWC: np.ndarray
    grey_hw: np.ndarray | None
    limits: ComputeLimits
    state: StreamState
    maps: dict[float, ScaleMaps]
    fused: FusedMaps
    logits_1Khw: np.ndarray
    context_1CK1: np.ndarray
    work: float
    work_left: float
    tiles_run: int = 1
    is_complete: bool = True
    weights: list[float] = field(default_factory=list)


class _Fused(NamedTuple):
    """Fused logits up to a scale, and the maps for the next fusion; None after the last scale."""

    logits_1Khw: np.ndarray
    next: FusedMaps | None


class PrunedNetwork:
    """Runs a network, pruned, over images of one size, for any number of cameras."""

    def __init__(
        self,
        passes: ScalePasses,
        scales: Sequence[float],
        network_hw: SizeHW,
        cell_px: int = CELL_PX,
        halo_px: int = HALO_PX,
    ) -> None:
        self.passes = passes
        self.scales = tuple(sorted(scales))
        self.grids = {
            scale: make_grid(_scale_size(network_hw, scale), round(cell_px * scale), halo_px)
            for scale in self.scales[1:]
        }
        self.network_hw = network_hw
        self._streams: OrderedDict[str, StreamState] = OrderedDict()

    @property
    def tiles_total(self) -> int:
        """Number of tiles of all larger scales, plus 1 for the smallest."""
        return 1 + sum(len(grid.tiles) for grid in self.grids.values())

    def list_logit_sizes(self) -> list[SizeHW]:
        """Return the possible sizes of fused logits."""
        smallest = make_grid(_scale_size(self.network_hw, self.scales[0]), 1 << 16, 0)
        return [smallest.map_hw, *(grid.map_hw for grid in self.grids.values()), self.network_hw]

    @property
    def larger_work(self) -> float:
        """Work of full-image passes at all larger scales."""
        return sum(scale**2 for scale in self.scales[1:])

    def list_work_levels(self) -> list[float]:
        """Return levels of work for the larger scales, from none to all, for the latency budget."""
        works, below = [0.0], 0.0
        for scale in self.scales[1:]:
            count = 1
            while count * self.compute_tile_work(scale) < scale**2:
                works.append(below + count * self.compute_tile_work(scale))
                count *= 2
            below += scale**2
            works.append(below)
        return works

    def compute_tile_work(self, scale: float) -> float:
        """Return the work of a tile."""
        return scale**2 * self.grids[scale].window_share

    def run(self, image_HWC: np.ndarray, limits: ComputeLimits, stream: str = "") -> PrunedOutput:
        """Process an image of network size; images of a named stream are consecutive frames.

        Raises:
            BackendError: a pass fails.
        """
        state = self._find_state(stream)
        scales = self._choose_scales(state, limits) if stream else self.scales
        frame = self._start(image_HWC, scales[0], limits, state, is_video=bool(stream))
        ran = [scales[0]]
        for scale in scales[1:]:
            if not self._run_larger_scale(frame, scale):
                break
            ran.append(scale)
        if stream:
            state.gate.report(self._find_shares(ran, frame.weights))
        if frame.is_complete and tuple(ran) == self.scales:
            logits = self.passes.fuse_full_images(frame.maps)
        else:
            logits = frame.logits_1Khw
        return PrunedOutput(logits, frame.tiles_run, self.tiles_total, tuple(ran), frame.work)

    def _find_shares(self, ran: Sequence[float], weights: Sequence[float]) -> dict[float, float]:
        """Return the mean share of each scale in the result, for the scale gate.

        The share of a larger scale includes that of all still larger ones. It is the weight left
        by the largest smaller scale that ran, so it is known without running the scale: a dropped
        scale can come back. The share of the smallest is only known if it ran.
        """
        left = list(zip(ran, weights, strict=False))
        shares = {}
        for scale in self.scales[1:]:
            below = [weight for smaller, weight in left if smaller < scale]
            if below:
                shares[scale] = below[-1]
        if ran[0] == self.scales[0]:
            shares[ran[0]] = 1 - weights[0]
        return shares

    def _choose_scales(self, state: StreamState, limits: ComputeLimits) -> tuple[float, ...]:
        """Return the scales that matter; the smallest if the first of them exceeds the budget."""
        worth = state.gate.choose()
        if self._find_budget(limits) + ROUNDING >= worth[0] ** 2:
            return worth
        return self.scales[:1]

    def _find_budget(self, limits: ComputeLimits) -> float:
        return self.scales[0] ** 2 + limits.budget * self.larger_work

    def _start(
        self,
        image_HWC: np.ndarray,
        scale: float,
        limits: ComputeLimits,
        state: StreamState,
        *,
        is_video: bool,
    ) -> _Frame:
        state.frame += 1
        maps = self._run_full_image(image_HWC, scale)
        if maps.attention_11hw is None:
            nothing = np.zeros((1, 1, 1, 1), np.float32)
            fused = FusedMaps(maps.logits_1Khw, maps.logits_1Khw, nothing, nothing)
        else:
            fused = self.passes.start_fusion(maps)
        return _Frame(
            image_HWC=image_HWC,
            grey_hw=shrink_to_grey(image_HWC) if is_video and limits.max_age else None,
            limits=limits,
            state=state,
            maps={scale: maps},
            fused=fused,
            logits_1Khw=fused.fused_1Khw,
            context_1CK1=maps.context_1CK1,
            work=scale**2,
            work_left=self._find_budget(limits) - scale**2,
            # Exact fusion needs every scale in full; with a smaller budget it is impossible.
            is_complete=scale == self.scales[0] and limits.budget >= 1,
            weights=[] if maps.attention_11hw is None else [float(fused.weight_11hw.mean())],
        )

    def warm_up(self, budget: float) -> None:
        """Compile every graph that a frame within this budget may need, by running it once.

        Raises:
            BackendError: a graph can't be compiled.
        """
        image_HWC = np.zeros((*self.network_hw, 3), np.uint8)
        left = budget * self.larger_work + ROUNDING
        # If the scale gate drops the smallest scale, a frame starts with the second.
        if self.scales[0] ** 2 + left >= self.scales[1] ** 2:
            second = self._run_full_image(image_HWC, self.scales[1])
            if len(self.scales) > 2:
                begun, third = self.passes.start_fusion(second), self.scales[2]
                tiles = TileCache(self.grids[third], begun.fused_1Khw.shape[1])
                self._fuse(begun, third, tiles, set())
        maps = {self.scales[0]: self._run_full_image(image_HWC, self.scales[0])}
        context_1CK1 = maps[self.scales[0]].context_1CK1
        fused = self.passes.start_fusion(maps[self.scales[0]])
        for scale, grid in self.grids.items():
            if left >= scale**2:
                maps[scale] = self._run_full_image(image_HWC, scale)
            for batch in self.passes.tile_batches:
                if batch <= min(len(grid.tiles), left / self.compute_tile_work(scale)):
                    windows_THWC = np.zeros((batch, *grid.window_hw, 3), np.uint8)
                    self._run_tile_batch(windows_THWC, context_1CK1, scale)
            tiles = TileCache(grid, fused.fused_1Khw.shape[1])
            after = self._fuse(fused, scale, tiles, set())
            fused = fused if after.next is None else after.next
        if budget >= 1:
            self.passes.fuse_full_images(maps)

    def _run_larger_scale(self, frame: _Frame, scale: float) -> bool:
        """Run and fuse the tiles of a scale that need it; False if there are none in the budget."""
        grid, tiles = self.grids[scale], self._find_tiles(frame, scale)
        tiles.begin_frame(frame.state.frame, frame.grey_hw)
        gating_T = grid.average(frame.fused.gating_11hw[0, 0])
        # A tile at twice the scale is four times the work, so it needs four times the gating score.
        wanted = choose_tiles(gating_T, frame.limits.threshold * scale**2)
        reusable = tiles.find_reusable(frame.limits.max_age)
        frame.is_complete &= len(wanted) == len(grid.tiles)
        work = self._run_stale_tiles(
            frame, scale, [tile for tile in wanted if tile not in reusable], tiles
        )
        run = tiles.list_run_tiles()
        frame.tiles_run += len(run)
        frame.work += work
        frame.work_left -= work
        if not reusable | run:
            return False
        after = self._fuse(frame.fused, scale, tiles, reusable | run)
        frame.logits_1Khw = after.logits_1Khw
        if after.next is not None:
            frame.fused = after.next
            frame.weights.append(float(after.next.weight_11hw.mean()))
        return True

    def _run_stale_tiles(
        self, frame: _Frame, scale: float, stale: Sequence[int], tiles: TileCache
    ) -> float:
        """Run these tiles, or the full image if that is not more work; return the work."""
        whole_work, tile_work = scale**2, self.compute_tile_work(scale)
        fits = frame.work_left + ROUNDING
        if len(stale) * tile_work >= whole_work and fits >= whole_work:
            maps = self._run_full_image(frame.image_HWC, scale)
            tiles.put_full_image(maps.logits_1Khw, maps.attention_11hw)
            frame.maps[scale], frame.context_1CK1 = maps, maps.context_1CK1
            return whole_work
        frame.is_complete = False
        chosen = stale[: int(fits / tile_work)]
        if chosen:
            self._run_tiles(frame, scale, chosen, tiles)
        return len(chosen) * tile_work

    def _run_tiles(
        self, frame: _Frame, scale: float, chosen: Sequence[int], tiles: TileCache
    ) -> None:
        padded_HWC = self.grids[scale].fit(frame.image_HWC)
        for batch in split_into_batches(chosen, self.passes.tile_batches):
            windows_THWC = self.grids[scale].cut(padded_HWC, batch)
            logits_TKhw, attention_T1hw = self._run_tile_batch(
                windows_THWC, frame.context_1CK1, scale
            )
            for place, index in enumerate(batch):
                attention_hw = None if attention_T1hw is None else attention_T1hw[place, 0]
                tiles.put(index, logits_TKhw[place], attention_hw)

    def _run_full_image(self, image_HWC: np.ndarray, scale: float) -> ScaleMaps:
        return self.passes.run_full_image(image_HWC, scale, is_largest=scale == self.scales[-1])

    def _run_tile_batch(
        self, windows_THWC: np.ndarray, context_1CK1: np.ndarray, scale: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        is_largest = scale == self.scales[-1]
        return self.passes.run_tiles(windows_THWC, context_1CK1, is_largest=is_largest)

    def _fuse(self, before: FusedMaps, scale: float, tiles: TileCache, run: set[int]) -> _Fused:
        logits_1Khw, attention_11hw, has_run_11hw = tiles.read(run)
        if scale == self.scales[-1]:
            return _Fused(self.passes.fuse_last(before, logits_1Khw, has_run_11hw), None)
        after = self.passes.fuse(before, logits_1Khw, attention_11hw, has_run_11hw)
        return _Fused(after.fused_1Khw, after)

    def _find_state(self, stream: str) -> StreamState:
        state = self._streams.get(stream)
        if state is None:
            state = self._streams[stream] = StreamState(ScaleGate(self.scales))
            if len(self._streams) > KEPT_STREAMS:
                self._streams.popitem(last=False)
        self._streams.move_to_end(stream)
        return state

    def _find_tiles(self, frame: _Frame, scale: float) -> TileCache:
        kept = frame.state.tiles
        if scale not in kept:
            kept[scale] = TileCache(self.grids[scale], frame.fused.fused_1Khw.shape[1])
        return kept[scale]


def _scale_size(size_hw: SizeHW, scale: float) -> SizeHW:
    return int(size_hw[0] * scale), int(size_hw[1] * scale)
