"""Data: data sets and folders of images and masks, sampling, augmentation, the synthetic street."""

from importlib import import_module
from typing import Any

_HOMES = {
    "AugmentationSettings": "augmentation",
    "ClassUniformSettings": "class_uniform",
    "Dataset": "dataset",
    "ImageMaskFolder": "folder",
    "PairMixture": "mixture",
    "Source": "mixture",
    "StreetScene": "synthetic",
    "augment_pair": "augmentation",
    "load_centroids": "centroids",
    "open_class_uniform_source": "class_uniform",
    "open_dataset": "dataset_catalogue",
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
    "StreetScene",
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
