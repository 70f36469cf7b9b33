"""Random changes of a training pair: scale, crop, flip, light, blur and noise.

Every function draws from the generator that it is given and touches nothing else, so a pair
is a function of its seed.
"""

import math

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

SizeHW = tuple[int, int]


class AugmentationSettings(BaseModel):
    """Ranges of the random changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_hw: SizeHW = Field(default=(224, 224), description="size of the training crop")
    scale_min: float = Field(default=0.5, gt=0, le=8, description="smallest image scale")
    scale_max: float = Field(default=2.0, gt=0, le=8, description="largest image scale")
    flip: bool = Field(default=True, description="mirror half of the pairs")
    brightness: float = Field(default=0.3, ge=0, lt=1, description="gain within 1 +- this")
    contrast: float = Field(default=0.3, ge=0, lt=1, description="contrast within 1 +- this")
    saturation: float = Field(default=0.4, ge=0, le=1, description="saturation within 1 +- this")
    white_balance: float = Field(default=0.1, ge=0, lt=1, description="channel gains, 1 +- this")
    gamma: float = Field(default=1.0, ge=1, le=4, description="gamma between 1/this and this")
    dusk: float = Field(default=0.0, ge=0, le=1, description="share of pairs dimmed as at dusk")
    class_mix: float = Field(
        default=0.0, ge=0, le=1, description="share of pairs that get classes of another one"
    )
    blur: float = Field(default=0.1, ge=0, le=1, description="share of blurred pairs")
    noise: float = Field(default=0.02, ge=0, le=0.2, description="largest noise, 1 is white")


def augment_pair(
    image_HWC: np.ndarray,
    labels_HW: np.ndarray,
    settings: AugmentationSettings,
    rng: np.random.Generator,
    *,
    unlabeled_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random crop of `settings.crop_hw` as (uint8 RGB, labels)."""
    image_HWC, labels_HW = _crop_scaled(image_HWC, labels_HW, settings, rng, unlabeled_id)
    if settings.flip and rng.random() < 0.5:
        image_HWC, labels_HW = image_HWC[:, ::-1], labels_HW[:, ::-1]
    image_HWC = _change_light(np.ascontiguousarray(image_HWC), settings, rng)
    if rng.random() < settings.blur:
        image_HWC = cv2.GaussianBlur(image_HWC, (0, 0), float(rng.uniform(0.3, 1.3)))
    return image_HWC, np.ascontiguousarray(labels_HW)


def _crop_scaled(
    image_HWC: np.ndarray,
    labels_HW: np.ndarray,
    settings: AugmentationSettings,
    rng: np.random.Generator,
    unlabeled_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the part that becomes the crop first and scale only that."""
    log_scale = rng.uniform(math.log(settings.scale_min), math.log(settings.scale_max))
    scale = math.exp(log_scale)
    stretch = math.exp(rng.uniform(-0.1, 0.1))
    height, width = labels_HW.shape
    crop_height, crop_width = settings.crop_hw
    source_height = max(1, round(crop_height / (scale * stretch)))
    source_width = max(1, round(crop_width / (scale / stretch)))
    top = _draw_offset(height, source_height, rng)
    left = _draw_offset(width, source_width, rng)
    window = (
        slice(max(top, 0), min(top + source_height, height)),
        slice(max(left, 0), min(left + source_width, width)),
    )
    borders = (
        max(-top, 0),
        max(top + source_height - height, 0),
        max(-left, 0),
        max(left + source_width - width, 0),
    )
    image_HWC, labels_HW = image_HWC[window], labels_HW[window]
    if any(borders):
        image_HWC = cv2.copyMakeBorder(image_HWC, *borders, cv2.BORDER_CONSTANT)
        labels_HW = cv2.copyMakeBorder(
            labels_HW, *borders, cv2.BORDER_CONSTANT, value=[unlabeled_id]
        )
    size_wh = (crop_width, crop_height)
    interpolation = cv2.INTER_LINEAR if scale >= 1 or rng.random() < 0.5 else cv2.INTER_AREA
    return (
        cv2.resize(image_HWC, size_wh, interpolation=interpolation),
        cv2.resize(labels_HW, size_wh, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def _draw_offset(length: int, window: int, rng: np.random.Generator) -> int:
    """Return where the window starts; below 0 when it is longer than the image."""
    low, high = sorted((0, length - window))
    return int(rng.integers(low, high + 1))


def mix_classes(
    pair: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    *,
    unlabeled_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Paste the pixels of half of the other pair's classes over a pair of the same size.

    Idea: Olsson et al., ClassMix, https://arxiv.org/abs/2007.07936.
    """
    image_HWC, labels_HW = pair
    other_image_HWC, other_labels_HW = other
    classes = np.unique(other_labels_HW)
    classes = classes[classes != unlabeled_id]
    chosen = rng.choice(classes, size=(len(classes) + 1) // 2, replace=False)
    pasted_HW = np.isin(other_labels_HW, chosen)
    return (
        np.where(pasted_HW[..., None], other_image_HWC, image_HWC),
        np.where(pasted_HW, other_labels_HW, labels_HW),
    )


def _dim_as_at_dusk(image_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take light away, most near the ground and most of the warm colours; values are 0..1."""
    ground, sky = sorted(rng.uniform(0.2, 0.8, 2))
    height = image_HWC.shape[0]
    gains_H11 = np.linspace(sky, ground, height, dtype=np.float32)[:, None, None]
    warmth = float(rng.uniform(0.8, 1.0))
    return image_HWC * gains_H11 * np.array([warmth, 1.0, 1.0], np.float32)


def _change_light(
    image_HWC: np.ndarray, settings: AugmentationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Apply dusk, gamma, gain, contrast, white balance, saturation and noise."""
    image = image_HWC.astype(np.float32) / 255
    if settings.dusk and rng.random() < settings.dusk:
        image = _dim_as_at_dusk(image, rng)
    limit = math.log(settings.gamma)
    image = np.power(image, math.exp(rng.uniform(-limit, limit)), dtype=np.float32)
    gains = 1 + rng.uniform(-settings.white_balance, settings.white_balance, 3)
    gains = gains * (1 + rng.uniform(-settings.brightness, settings.brightness))
    image *= gains.astype(np.float32)
    contrast = np.float32(1 + rng.uniform(-settings.contrast, settings.contrast))
    mean = image.mean(dtype=np.float64)
    image = (image - np.float32(mean)) * contrast + np.float32(mean)
    grey = image.mean(axis=2, keepdims=True)
    saturation = np.float32(1 + rng.uniform(-settings.saturation, settings.saturation))
    image = grey + (image - grey) * saturation
    sigma = np.float32(rng.uniform(0, settings.noise))
    if sigma > 0:
        image += sigma * rng.standard_normal(image.shape, dtype=np.float32)
    changed: np.ndarray = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return changed
