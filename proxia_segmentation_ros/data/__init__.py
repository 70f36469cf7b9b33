"""Data sets of images and masks, sampling of training pairs, augmentation."""

from importlib import import_module
from typing import Any

_HOMES = {
    "AugmentationSettings": "augmentation.settings",
    "ClassUniformSettings": "sampling.class_uniform",
    "Dataset": "dataset",
    "ImageMaskFolder": "datasets.folder",
    "PairMixture": "sampling.mixture",
    "Source": "sampling.mixture",
    "augment_pair": "augmentation.augment",
    "load_centroids": "sampling.centroids",
    "open_class_uniform_source": "sampling.class_uniform",
    "open_dataset": "datasets.catalogue",
    "read_image": "pair_files",
    "read_mask": "pair_files",
}
__all__ = [
    "AugmentationSettings",
    "ClassUniformSettings",
    "Dataset",
    "ImageMaskFolder",
    "PairMixture",
    "Source",
    "augment_pair",
    "load_centroids",
    "open_class_uniform_source",
    "open_dataset",
    "read_image",
    "read_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
