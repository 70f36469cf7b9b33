"""The hash of the graph code: it changes with the code, and no code that shapes graphs is missing.

The second part converts every kind of graph that the cache of compiled networks holds, with the
real backends on empty caches, and notes each file of the package in which a function runs between
a miss of the cache and the storing of what was compiled instead.
"""

import ast
import sys
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from fake_device import FakeBuild, FakeDevice
from tiny_network import draw_image, make_card, make_network

from proxia_segmentation_ros import backends
from proxia_segmentation_ros.backends.compiled_cache import CacheKey, CompiledCache
from proxia_segmentation_ros.backends.contract import FramePlan
from proxia_segmentation_ros.backends.network_source import (
    GRAPH_FOLDERS,
    WeightFile,
    hash_network_code,
    hash_python_files,
)
from proxia_segmentation_ros.backends.openvino.backend import OpenVinoBackend
from proxia_segmentation_ros.backends.tensorrt.backend import TensorRtBackend
from proxia_segmentation_ros.model.checkpoint import save_weights
from proxia_segmentation_ros.model.quantisation import Quantisation, copy_with_quantisation

PACKAGE = Path(backends.__file__).parents[1]
PREFIX = f"{PACKAGE}/"
NETWORK_HW = (96, 128)
SCALES = (0.5, 1.0, 2.0)
PLAN = FramePlan(
    input_hw=NETWORK_HW, network_hw=NETWORK_HW, output_hw=(60, 80), with_confidence=True
)
# Code that runs while a graph is made, outside the hashed folders, and why it can't shape it.
RUNS_BUT_SHAPES_NOTHING = {
    "backends/network_source.py": "hands over the tensors; `digest` covers them",
    "backends/openvino/backend.py": "compiles with properties; CACHE_FORMAT and the key tell them",
    "backends/openvino/passes.py": "names the part with its shapes, which is in the key",
    "backends/tensorrt/backend.py": "picks sizes and precision, which are in the key",
    "errors.py": "writes control characters in the card's text as escapes",
    "labels.py": "checks the card's classes; the digest covers the card",
    "model/card.py": "parses the card, which the digest covers",
    "model/card_file.py": "reads the card",
    "model/checkpoint.py": "reads the tensors, which the digest covers",
    "model/lookup.py": "finds the weight file",
    "model/quantisation.py": "reads activation ranges, which the digest covers",
    "model/state_dict_check.py": "refuses wrong tensors, changes none",
    "model/self_test.py": "reads the picture, which is compared after the graph is compiled",
    "model/weight_file.py": "compares the content with its hash, changes nothing",
    "parsing.py": "parses the header of the weight file, which the digest covers",
}
# What hashed code may import from elsewhere: types, errors and what the weights' digest covers.
IMPORTS_THAT_SHAPE_NOTHING = {
    "backends.network_source.NetworkSource",
    "config.SizeHW",
    "errors.BackendError",
    "errors.ConfigError",
    "model.card.ModelCard",
    "model.quantisation.Range",
}


class TracedCache(CompiledCache):
    """Finds nothing, keeps nothing, and traces the calls from a miss to the next `store`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._paths: set[str] = set()
        self.parts: list[str] = []

    def load(self, key: CacheKey) -> bytes | None:
        self.parts.append(str(key.get("part", "network")))
        sys.setprofile(self._note)
        return None

    def store(self, key: CacheKey, blob: bytes) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(PREFIX) or path in self._paths:
            return
        # What runs while a module is imported is no function of the conversion.
        if not _is_import(frame):
            self._paths.add(path)

    @property
    def files(self) -> set[str]:
        return {path.removeprefix(PREFIX) for path in self._paths}


def _is_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(PREFIX):
            return True
        frame = frame.f_back
    return False


@pytest.fixture
def cache(tmp_path: Path) -> TracedCache:
    return TracedCache(tmp_path / "cache")


def write_weights(folder: Path, scales: tuple[float, ...] = (1.0,)) -> Path:
    suffix = "_mscale" if len(scales) > 1 else ""
    card = make_card(architecture=f"hrnet_w18_small_v1_ocr{suffix}", scales=scales)
    path = folder / "tiny.safetensors"
    save_weights(path, make_network(card), card)
    return path


def write_quantised_weights(folder: Path) -> Path:
    path = folder / "int8.safetensors"
    quantisation = Quantisation(
        ranges={"backbone.conv2": (0.0, 4.0)},
        images=1, miou=0.5, lost_points=0.0, gate_points=0.1, agreement=1.0, speedup=1.0,
        compared_with="f32", cpu="any",
    )  # fmt: skip
    copy_with_quantisation(write_weights(folder), path, quantisation)
    return path


def make_openvino(path: Path, cache: CompiledCache, precision: str = "f32") -> OpenVinoBackend:
    source = WeightFile(path)
    return OpenVinoBackend(
        source, precision=precision, scales=source.card.scales, threads=1, cache=cache
    )


def check_files(cache: TracedCache) -> None:
    outside = {path for path in cache.files if not path.startswith(GRAPH_FOLDERS)}
    assert cache.files - outside, "nothing was traced"
    assert outside <= RUNS_BUT_SHAPES_NOTHING.keys()


def test_hash_covers_every_file_of_the_two_folders() -> None:
    folders = [PACKAGE / folder for folder in GRAPH_FOLDERS]
    assert all((folder / "__init__.py").is_file() for folder in folders)
    assert hash_network_code() == hash_python_files(PACKAGE, GRAPH_FOLDERS)


def test_hash_changes_with_content_name_and_number_of_files(tmp_path: Path) -> None:
    (tmp_path / "graph" / "deeper").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    file = tmp_path / "graph" / "deeper" / "a.py"
    file.write_text("x = 1\n")
    hashes = [hash_python_files(tmp_path, ("graph",))]
    (tmp_path / "other" / "b.py").write_text("y = 1\n")
    (tmp_path / "graph" / "notes.md").write_text("no code\n")
    assert hash_python_files(tmp_path, ("graph",)) == hashes[0]
    file.write_text("x = 2\n")
    hashes.append(hash_python_files(tmp_path, ("graph",)))
    file.rename(file.with_name("c.py"))
    hashes.append(hash_python_files(tmp_path, ("graph",)))
    (tmp_path / "graph" / "d.py").touch()
    hashes.append(hash_python_files(tmp_path, ("graph",)))
    assert len(set(hashes)) == 4


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0)], ids=["single_scale", "multi_scale"])
def test_openvino_network_is_shaped_by_hashed_code_alone(
    tmp_path: Path, cache: TracedCache, scales: tuple[float, ...]
) -> None:
    make_openvino(write_weights(tmp_path, scales), cache).prepare((PLAN,))
    # The argmax graph, made for each output size, is compiled anew and never stored.
    assert cache.parts == ["network"]
    assert "backends/graph/recorder.py" in cache.files
    check_files(cache)


def test_int8_network_is_shaped_by_hashed_code_alone(tmp_path: Path, cache: TracedCache) -> None:
    make_openvino(write_quantised_weights(tmp_path), cache, "int8").load_network(NETWORK_HW)
    assert "backends/graph/quantised_graph.py" in cache.files
    check_files(cache)


def test_passes_and_fusion_are_shaped_by_hashed_code_alone(
    tmp_path: Path, cache: TracedCache
) -> None:
    passes = make_openvino(write_weights(tmp_path, SCALES), cache).make_passes(NETWORK_HW)
    image_HWC = draw_image(*NETWORK_HW)
    maps = {
        scale: passes.run_full_image(image_HWC, scale, is_largest=scale == SCALES[-1])
        for scale in SCALES
    }
    for is_largest in (False, True):
        passes.run_tiles(image_HWC[None], maps[0.5].context_1CK1, is_largest=is_largest)
    first = passes.start_fusion(maps[0.5])
    ones = {scale: np.ones_like(maps[scale].logits_1Khw[:, :1]) for scale in SCALES}
    passes.fuse_last(first, maps[2.0].logits_1Khw, ones[2.0])
    attention_11hw = maps[1.0].attention_11hw
    assert attention_11hw is not None
    second = passes.fuse(first, maps[1.0].logits_1Khw, attention_11hw, ones[1.0])
    passes.fuse_last(second, maps[2.0].logits_1Khw, ones[2.0])
    passes.fuse_full_images(maps)
    assert len(cache.parts) == 10
    check_files(cache)


def test_tensorrt_engines_are_shaped_by_hashed_code_alone(
    tmp_path: Path, cache: TracedCache
) -> None:
    source = WeightFile(write_weights(tmp_path))
    backend = TensorRtBackend(
        source,
        precision="f32",
        scales=source.card.scales,
        cache=cache,
        device=FakeDevice(),
        build=FakeBuild(),
    )
    backend.prepare((PLAN,))
    assert cache.parts == ["network", "labels"]
    assert "backends/graph/tensorrt_graph.py" in cache.files
    check_files(cache)


def test_hashed_code_takes_only_types_and_errors_from_elsewhere() -> None:
    """Constants leave no trace of a call: their imports are compared by name."""
    found = set()
    folders = tuple(
        f"proxia_segmentation_ros.{folder.replace('/', '.')}" for folder in GRAPH_FOLDERS
    )
    for path in (file for folder in GRAPH_FOLDERS for file in (PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                is_ours = node.module.startswith("proxia_segmentation_ros")
                if is_ours and not node.module.startswith(folders):
                    found |= {f"{node.module.partition('.')[2]}.{a.name}" for a in node.names}
    assert found == IMPORTS_THAT_SHAPE_NOTHING
