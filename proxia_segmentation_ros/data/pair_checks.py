"""Check the files of all pairs by their headers, so that a long run does not fail on its way."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from PIL import Image

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.image_header import check_whole

MAX_LISTED = 20
MASK_FORMATS = ("PNG", "BMP", "TIFF")
ORIENTATION, UPRIGHT = 0x0112, 1
# A JPEG or PNG ends with a marker; some cameras append bytes, then the whole file is read.
END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
TAIL_BYTES = 4096
_STRIPS, _TILES = (273, 279), (324, 325)


@dataclass
class _PairResult:
    faults: list[str] = field(default_factory=list)
    orientation: int = UPRIGHT


def check_pairs(pairs: Dataset) -> list[str]:
    """Check format, size and completeness of every file; nothing is decoded.

    Returns a sentence for what may be meant otherwise: images with an EXIF orientation, and masks
    without an image.

    Raises:
        InputError: files are missing, truncated, of the wrong format, or differ in size; the
            message lists them.
    """
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda index: _check_pair(pairs, index), range(len(pairs))))
    faults = list(chain.from_iterable(result.faults for result in results))
    if faults:
        wrong = sum(bool(result.faults) for result in results)
        listed = "".join(f"\n  {fault}" for fault in faults[:MAX_LISTED])
        more = f"\n  and {len(faults) - MAX_LISTED} more" if len(faults) > MAX_LISTED else ""
        raise InputError.from_parts(
            f"{wrong} of {len(results)} pairs of {pairs.name} can't be used:{listed}{more}\n",
            "whole files, images and PNG, BMP or TIFF masks of one size as they are stored",
            "correct or remove them",
        )
    return [*_describe_turned(pairs, results), *_describe_unpaired(pairs)]


def _describe_turned(pairs: Dataset, results: Sequence[_PairResult]) -> list[str]:
    turned = [index for index, result in enumerate(results) if result.orientation != UPRIGHT]
    if not turned:
        return []
    first = turned[0]
    return [
        f"{len(turned)} of {len(results)} images of {pairs.name} have an EXIF orientation, first "
        f"{pairs.paths[first][0].name!r} ({results[first].orientation}); they are read as they are "
        "stored, not upright, and so must their masks have been drawn"
    ]


def _describe_unpaired(pairs: Dataset) -> list[str]:
    if not isinstance(pairs, ImageMaskFolder) or not pairs.unpaired_masks:
        return []
    unpaired = pairs.unpaired_masks
    return [
        f"{len(unpaired)} masks, first {unpaired[0].name!r}, have no image in {pairs.name} and are "
        "left out"
    ]


def _check_pair(pairs: Dataset, index: int) -> _PairResult:
    result = _PairResult()
    image_path = pairs.paths[index][0]
    image_hw = _check_file(image_path, result)
    for path in pairs.list_label_files(index):
        size_hw = _check_file(path, result, is_mask=True)
        if image_hw and size_hw and size_hw != image_hw:
            result.faults.append(
                f"{str(path)!r} is {size_hw} and its image {image_hw} (rows, columns)"
            )
    return result


def _check_file(path: Path, result: _PairResult, *, is_mask: bool = False) -> SizeHW | None:
    """Return the size of an image file; append what is wrong with it."""
    try:
        with Image.open(path) as picture:
            if is_mask and picture.format not in MASK_FORMATS:
                result.faults.append(f"{str(path)!r} is a mask in the format {picture.format}")
            elif is_mask and getattr(picture, "n_frames", 1) > 1:
                result.faults.append(f"{str(path)!r} is a mask of several pictures")
            else:
                _check_end(path, picture)
            if not is_mask:
                result.orientation = _read_orientation(picture)
            return picture.height, picture.width
    except InputError as error:
        result.faults.append(f"{str(path)!r}: {str(error).partition(';')[0]}")
    except Image.DecompressionBombError:
        # Pillow opens none so large; OpenCV may.
        return None
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no picture"
        result.faults.append(f"{str(path)!r} can't be read ({reason})")
    return None


def _read_orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation; that of a TIFF turns it nowhere."""
    content = picture.info.get("exif")
    if not content:
        return UPRIGHT
    exif = Image.Exif()
    exif.load(content)
    return int(exif.get(ORIENTATION, UPRIGHT))


def _check_end(path: Path, picture: Image.Image) -> None:
    """Raise InputError if the file ends before its pixels do."""
    num_bytes = path.stat().st_size
    file_format = picture.format or ""
    if file_format in END_MARKERS:
        with path.open("rb") as file:
            file.seek(max(0, num_bytes - TAIL_BYTES))
            if END_MARKERS[file_format] in file.read():
                return
        check_whole(path.read_bytes())
    elif num_bytes < _find_end(path, picture):
        raise InputError.from_parts(
            f"{file_format} of {num_bytes} bytes is truncated",
            f"{_find_end(path, picture)} bytes",
            "get the file again",
        )


def _find_end(path: Path, picture: Image.Image) -> int:
    """Return how many bytes the file must have at least, 0 if the format does not say it."""
    if picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        ends = [0]
        for offsets, counts in (_STRIPS, _TILES):
            ends += map(sum, zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False))
        return max(ends)
    if picture.format == "WEBP":
        with path.open("rb") as file:
            return int.from_bytes(file.read(8)[4:], "little") + 8
    tiles = getattr(picture, "tile", [])
    if len(tiles) != 1 or tiles[0][0] != "raw":
        return 0
    tile = tiles[0]
    mode = tile[3][0] if isinstance(tile[3], tuple) else tile[3]
    bits = {"1": 1, "L": 8, "P": 8, "BGR": 24, "RGB": 24, "BGRX": 32, "BGRA": 32}.get(str(mode), 0)
    bits = int(mode[2:]) if str(mode)[:2] in ("P;", "L;") and mode[2:].isdecimal() else bits
    return int(tile[2]) + picture.height * (picture.width * bits // 8)
