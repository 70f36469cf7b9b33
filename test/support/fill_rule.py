"""Rules that fill networks and inputs with reproducible numbers; see README.md beside it."""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

GAINS = (
    (".fuse_layers.", 0.45),
    (".branches.", 0.9),
    (".conv3x3_ocr.", 0.25),
    (".aux_head.0.", 0.25),
    (".aux_head.2.", 1.0),
    (".cls_head.", 1.0),
    (".scale_attn.conv0.", 1.0),
    (".scale_attn.conv2.", 2.0),
    ("", 1.7),
)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def make_generator(seed: str) -> np.random.Generator:
    """Return the generator that belongs to a text."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(seed.encode("ascii"))))


def fill_value(key: str, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 tensor of a state-dict key; counters are int64 zeros."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    size = int(np.prod(shape, dtype=np.int64))
    normal = make_generator(key).standard_normal(size).reshape(shape)
    if key.endswith(("running_mean", ".bias")):
        value = 0.1 * normal
    elif key.endswith("running_var"):
        value = 1.0 + 0.1 * np.abs(normal)
    elif len(shape) == 1:
        value = 1.0 + 0.1 * normal
    else:
        gain = next(gain for part, gain in GAINS if part in "." + key)
        normal = normal - normal.mean(axis=(1, 2, 3), keepdims=True)
        value = normal * gain / np.sqrt(shape[1] * shape[2] * shape[3])
    return torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))


def fill_model(model: nn.Module) -> nn.Module:
    """Fill every parameter and buffer, on the meta device too; return the model in eval mode."""
    filled = {key: fill_value(key, tuple(old.shape)) for key, old in model.state_dict().items()}
    model.load_state_dict(filled, strict=True, assign=True)
    return model.eval()


def golden_rgb(height: int = 256, width: int = 512) -> np.ndarray:
    """Return the input image rgb_HWC: noisy blocks of 32 px."""
    generator = make_generator("golden-input")
    blocks = generator.integers(0, 256, size=(-(-height // 32), -(-width // 32), 3))
    noise = generator.integers(-24, 25, size=(height, width, 3))
    enlarged = np.repeat(np.repeat(blocks, 32, 0), 32, 1)[:height, :width]
    pixels_HWC: np.ndarray = np.clip(enlarged + noise, 0, 255).astype(np.uint8)
    return pixels_HWC


def golden_input() -> Tensor:
    """Return the normalised input, float32 (1, 3, 256, 512)."""
    scaled = golden_rgb().astype(np.float32) / np.float32(255)
    normalised = (scaled - MEAN) / STD
    return torch.from_numpy(np.ascontiguousarray(normalised.transpose(2, 0, 1)[None]))


def golden_labels(
    height: int, width: int, seed: str, num_classes: int = 19, ignore: int = 255
) -> np.ndarray:
    """Return labels_HW int64 of 16 px blocks, some of them `ignore`."""
    generator = make_generator(seed)
    blocks = generator.integers(0, num_classes + 1, size=(-(-height // 16), -(-width // 16)))
    blocks[blocks == num_classes] = ignore
    return np.repeat(np.repeat(blocks, 16, 0), 16, 1)[:height, :width].astype(np.int64)


def golden_losses_input() -> tuple[Tensor, Tensor]:
    """Return the logits_NKHW and labels_NHW of the golden losses."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(b"golden-logits")))
    logits: np.ndarray = (3 * generator.standard_normal((2, 19, 64, 96))).astype(np.float32)
    labels = [golden_labels(64, 96, f"golden-label-{index}") for index in range(2)]
    return torch.from_numpy(logits), torch.from_numpy(np.stack(labels))


def check_golden_gradient(shared_dir: Path, name: str, got: Tensor) -> None:
    """Compare with the gradient of a loss that NVIDIA/semantic-segmentation gave."""
    with np.load(shared_dir / "golden" / "losses_grad.npz") as arrays:
        [key] = [key for key in arrays.files if key.startswith(name) or f"_{name}" in key]
        wanted = torch.from_numpy(arrays[key])
    scale = float(wanted.abs().max())
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * scale)
