"""A folder of images and a folder of masks with the same file names."""

from pathlib import Path

from proxia_segmentation_ros.data.dataset import PathPair
from proxia_segmentation_ros.data.pair_files import (
    IMAGE_SUFFIXES,
    MASK_SUFFIXES,
    PairFiles,
    index_by_stem,
    list_files,
)
from proxia_segmentation_ros.data.pair_files import read_image as read_image
from proxia_segmentation_ros.data.pair_files import read_mask as read_mask
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet


class ImageMaskFolder(PairFiles):
    """Pairs of image and mask, sorted by file name.

    With `keep_decoded` decoded pairs stay in memory, which suits small data sets.
    """

    def __init__(
        self, images: Path, masks: Path, label_set: LabelSet, *, keep_decoded: bool = False
    ) -> None:
        pairs = _pair_files(images, masks)
        super().__init__(pairs, label_set, name=str(images), keep_decoded=keep_decoded)
        paired = {mask for _, mask in pairs}
        # Masks whose image is missing, or in a format that isn't read.
        self.unpaired_masks = [
            path for path in list_files(masks, MASK_SUFFIXES) if path not in paired
        ]


def _pair_files(images: Path, masks: Path) -> list[PathPair]:
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError.from_parts(
                f"folder {str(folder)!r} does not exist",
                "a folder of images and one of masks",
                "check the path",
            )
    masks_by_stem = index_by_stem(masks, list_files(masks, MASK_SUFFIXES), "mask")
    found = list_files(images, IMAGE_SUFFIXES)
    if not found:
        raise InputError.from_parts(
            f"folder {str(images)!r} holds no image",
            f"files that end in {', '.join(IMAGE_SUFFIXES)}",
            "check the path",
        )
    index_by_stem(images, found, "image")
    missing = [path.name for path in found if path.stem not in masks_by_stem]
    if missing:
        raise InputError.from_parts(
            f"{len(missing)} of {len(found)} images have no mask in {str(masks)!r}, "
            f"first {missing[0]!r}",
            f"a mask of the same name that ends in {', '.join(MASK_SUFFIXES)} for every image",
            "add the masks or remove the images",
        )
    return [(path, masks_by_stem[path.stem]) for path in found]
