"""Attention-pruned inference: larger scales run only where the smaller ones ask for them.

The smallest scale sees the whole image. What its attention leaves to larger scales, weighted by
the doubt about the best class, chooses tiles of the next one; with these fused in, the tiles of
the one after that. Source of the fusing: Tao et al., arXiv 2005.10821; of tiles it knows
nothing.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.inference.scale_gate import ScaleGate
from proxia_segmentation_ros.inference.scale_passes import FusedMaps, ScaleMaps, ScalePasses
from proxia_segmentation_ros.inference.tile_choice import choose_tiles, split_into_batches
from proxia_segmentation_ros.inference.tile_memory import TileMemory, shrink_to_grey
from proxia_segmentation_ros.inference.tiles import make_grid

# Of scale 1.0: a cell is the same piece of the scene at every scale.
CELL_PX = 96
HALO_PX = 32
KEPT_STREAMS = 64
# So that a budget of exactly so many tiles is not one too small.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Effort:
    """Bounds of one frame: see `Pruning`. `scales` bounds the scales that may run at all."""

    scales: tuple[float, ...]
    threshold: float
    budget: float
    max_age: int = 0


@dataclass(frozen=True)
class Seen:
    """Fused logits, of the network's size or smaller, and what ran for them.

    `work` is in passes over a whole image of scale 1.0.
    """

    logits_1Khw: np.ndarray
    tiles_run: int
    tiles_total: int
    scales: tuple[float, ...]
    work: float


@dataclass
class StreamMemory:
    """What one camera's frames left behind."""

    gate: ScaleGate
    tiles: dict[float, TileMemory] = field(default_factory=dict)
    frame: int = 0


@dataclass
class _Frame:
    """One image on its way from the smallest scale up."""

    image_HWC: np.ndarray
    grey_hw: np.ndarray | None
    effort: Effort
    memory: StreamMemory
    maps: dict[float, ScaleMaps]
    fused: FusedMaps
    context_1CK1: np.ndarray
    work: float
    work_left: float
    tiles_run: int = 1
    is_complete: bool = True
    weights: list[float] = field(default_factory=list)


class PrunedNetwork:
    """Passes of one network over images of one size, for any number of cameras."""

    def __init__(
        self,
        passes: ScalePasses,
        scales: Sequence[float],
        network_hw: SizeHW,
        cell_px: int = CELL_PX,
    ) -> None:
        self.passes = passes
        self.scales = tuple(sorted(scales))
        self.grids = {
            scale: make_grid(_scale_size(network_hw, scale), round(cell_px * scale), HALO_PX)
            for scale in self.scales[1:]
        }
        self.network_hw = network_hw
        self._streams: OrderedDict[str, StreamMemory] = OrderedDict()

    @property
    def tiles_total(self) -> int:
        """Tiles of all larger scales, and one for the smallest."""
        return 1 + sum(len(grid.tiles) for grid in self.grids.values())

    def list_logit_sizes(self) -> list[SizeHW]:
        """Return the sizes that fused logits may have."""
        smallest = make_grid(_scale_size(self.network_hw, self.scales[0]), 1 << 16, 0)
        return [smallest.map_hw, *(grid.map_hw for grid in self.grids.values()), self.network_hw]

    @property
    def larger_work(self) -> float:
        """Work of all larger scales, seen whole."""
        return sum(scale**2 for scale in self.scales[1:])

    def list_larger_works(self) -> list[float]:
        """Return steps of work for the larger scales, from none to all of it."""
        works, below = [0.0], 0.0
        for scale in self.scales[1:]:
            count = 1
            while count * self.find_tile_work(scale) < scale**2:
                works.append(below + count * self.find_tile_work(scale))
                count *= 2
            below += scale**2
            works.append(below)
        return works

    def find_tile_work(self, scale: float) -> float:
        """Return the work of one tile."""
        return scale**2 * self.grids[scale].window_share

    def see(self, image_HWC: np.ndarray, effort: Effort, stream: str = "") -> Seen:
        """Run what an image of network size asks for; frames of a named stream follow each other.

        Raises:
            BackendError: a pass fails.
        """
        memory = self._find_memory(stream)
        allowed = memory.gate.choose() if stream else self.scales
        scales = tuple(one for one in allowed if one in effort.scales) or effort.scales[:1]
        frame = self._start(image_HWC, scales[0], effort, memory, is_video=bool(stream))
        ran = [scales[0]]
        for scale in scales[1:]:
            if not self._see_larger(frame, scale):
                break
            ran.append(scale)
        if stream:
            memory.gate.report(_find_shares(scales, frame.weights))
        if frame.is_complete and tuple(ran) == self.scales:
            logits = self.passes.fuse_wholes(frame.maps)
        else:
            logits = frame.fused.fused_1Khw
        return Seen(logits, frame.tiles_run, self.tiles_total, tuple(ran), frame.work)

    def _start(
        self,
        image_HWC: np.ndarray,
        scale: float,
        effort: Effort,
        memory: StreamMemory,
        *,
        is_video: bool,
    ) -> _Frame:
        memory.frame += 1
        maps = self.passes.see_whole(image_HWC, scale)
        fused = self.passes.start_fusing(maps)
        return _Frame(
            image_HWC=image_HWC,
            grey_hw=shrink_to_grey(image_HWC) if is_video and effort.max_age else None,
            effort=effort,
            memory=memory,
            maps={scale: maps},
            fused=fused,
            context_1CK1=maps.context_1CK1,
            work=scale**2,
            work_left=effort.budget * self.larger_work,
            # Only where all of it can run is anything gained by being exact.
            is_complete=scale == self.scales[0] and effort.budget >= 1,
            weights=[float(fused.weight_11hw.mean())],
        )

    def warm_up(self, budget: float) -> None:
        """Compile every graph that frames of this budget may need, by running each once.

        Raises:
            BackendError: one can't be compiled.
        """
        image_HWC = np.zeros((*self.network_hw, 3), np.uint8)
        left = budget * self.larger_work + ROUNDING
        # The second smallest sees the whole image where the smallest was dropped.
        whole = {one: self.passes.see_whole(image_HWC, one) for one in self.scales[:2]}
        self.passes.start_fusing(whole[self.scales[1]])
        context = whole[self.scales[0]].context_1CK1
        fused = self.passes.start_fusing(whole[self.scales[0]])
        for scale, grid in self.grids.items():
            tiles = TileMemory(grid, fused.fused_1Khw.shape[1])
            if left >= scale**2:
                tiles.put_whole(
                    *self.passes.see_tiles(self._resize(image_HWC, scale)[None], context)
                )
            for batch in self.passes.tile_batches:
                if batch <= min(len(grid.tiles), left / self.find_tile_work(scale)):
                    self.passes.see_tiles(np.zeros((batch, *grid.window_hw, 3), np.uint8), context)
            fused = self.passes.fuse(fused, *tiles.read(set(), context))
        if budget >= 1:
            whole.update((one, self.passes.see_whole(image_HWC, one)) for one in self.scales[2:])
            self.passes.fuse_wholes(whole)

    def _see_larger(self, frame: _Frame, scale: float) -> bool:
        """Add what is asked for of a scale; False when nothing is, or nothing fits the budget."""
        grid, tiles = self.grids[scale], self._find_tiles(frame, scale)
        demand_T = grid.average(frame.fused.demand_11hw[0, 0])
        wanted = choose_tiles(demand_T, frame.effort.threshold)
        tiles.begin_frame(frame.memory.frame, frame.grey_hw)
        fresh = tiles.find_fresh(frame.effort.max_age)
        stale = [one for one in wanted if one not in fresh]
        work = self._run_wanted(frame, scale, stale, tiles, len(wanted) == len(grid.tiles))
        there = fresh | tiles.find_run()
        if not there:
            return False
        maps, is_there_11hw = tiles.read(there, frame.context_1CK1)
        frame.fused = self.passes.fuse(frame.fused, maps, is_there_11hw)
        frame.weights.append(float(frame.fused.weight_11hw.mean()))
        frame.tiles_run += len(tiles.find_run())
        frame.work += work
        frame.work_left -= work
        return True

    def _run_wanted(
        self,
        frame: _Frame,
        scale: float,
        stale: Sequence[int],
        tiles: TileMemory,
        are_all_wanted: bool,
    ) -> float:
        """Run these tiles, or the whole image where that is no more work; return the work."""
        whole_work, tile_work = scale**2, self.find_tile_work(scale)
        fits = frame.work_left + ROUNDING
        if are_all_wanted and frame.is_complete and len(stale) and fits >= whole_work:
            # Nothing is left out: the same as the network itself, its own context included.
            maps = self.passes.see_whole(frame.image_HWC, scale)
            frame.maps[scale], frame.context_1CK1 = maps, maps.context_1CK1
            tiles.put_whole(maps.logits_1Khw, maps.attention_11hw)
            return whole_work
        frame.is_complete = False
        if len(stale) * tile_work >= whole_work and fits >= whole_work:
            image_HWC = self._resize(frame.image_HWC, scale)
            tiles.put_whole(*self.passes.see_tiles(image_HWC[None], frame.context_1CK1))
            return whole_work
        chosen = stale[: int(fits / tile_work)]
        self._run_tiles(frame, scale, chosen, tiles)
        return len(chosen) * tile_work

    def _resize(self, image_HWC: np.ndarray, scale: float) -> np.ndarray:
        """Return the image at a scale, with its grid's padding."""
        return self.grids[scale].fit(image_HWC)

    def _run_tiles(
        self, frame: _Frame, scale: float, chosen: Sequence[int], tiles: TileMemory
    ) -> None:
        if not chosen:
            return
        image_HWC = self._resize(frame.image_HWC, scale)
        for batch in split_into_batches(chosen, self.passes.tile_batches):
            windows_THWC = self.grids[scale].cut(image_HWC, batch)
            logits_TKhw, attention_T1hw = self.passes.see_tiles(windows_THWC, frame.context_1CK1)
            for index, logits_Khw, attention_1hw in zip(
                batch, logits_TKhw, attention_T1hw, strict=True
            ):
                tiles.put(index, logits_Khw, attention_1hw[0])

    def _find_memory(self, stream: str) -> StreamMemory:
        memory = self._streams.get(stream)
        if memory is None:
            memory = self._streams[stream] = StreamMemory(ScaleGate(self.scales))
            if len(self._streams) > KEPT_STREAMS:
                self._streams.popitem(last=False)
        self._streams.move_to_end(stream)
        return memory

    def _find_tiles(self, frame: _Frame, scale: float) -> TileMemory:
        kept = frame.memory.tiles
        if scale not in kept:
            kept[scale] = TileMemory(self.grids[scale], frame.fused.fused_1Khw.shape[1])
        return kept[scale]


def _scale_size(size_hw: SizeHW, scale: float) -> SizeHW:
    return int(size_hw[0] * scale), int(size_hw[1] * scale)


def _find_shares(scales: Sequence[float], weights: Sequence[float]) -> dict[float, float]:
    """Return each scale's share with all that is larger, for the smallest its own."""
    shares = {scales[0]: 1 - weights[0]}
    shares.update(zip(scales[1:], weights, strict=False))
    return shares
