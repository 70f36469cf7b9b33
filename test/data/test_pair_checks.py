"""Files that would end a run on its way are listed before it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.data.pair_checks import check_pairs
from proxia_segmentation_ros.data.sampling.limited_dataset import LimitedDataset
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set

ORIENTATION = 0x0112
SUFFIXES = (".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm")


def draw(size_wh: tuple[int, int] = (60, 40)) -> Image.Image:
    width, height = size_wh
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Make a pair of each image format, with PNG masks."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for suffix in SUFFIXES:
        draw().save(images / f"{suffix[1:]}{suffix}")
        Image.new("L", (60, 40), 1).save(masks / f"{suffix[1:]}.png")
    return images, masks


def open_pairs(folders: tuple[Path, Path]) -> ImageMaskFolder:
    return ImageMaskFolder(*folders, load_label_set("camvid"))


def cut(path: Path, share: float = 0.6) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def test_whole_files_of_every_format_need_no_word(folders: tuple[Path, Path]) -> None:
    assert check_pairs(open_pairs(folders)) == []


def test_bytes_after_the_end_are_accepted(folders: tuple[Path, Path]) -> None:
    for name in ("jpg.jpg", "png.png"):
        with (folders[0] / name).open("ab") as file:
            file.write(bytes(5000))
    assert check_pairs(open_pairs(folders)) == []


def test_everything_that_is_wrong_is_listed_at_once(folders: tuple[Path, Path]) -> None:
    images, masks = folders
    Image.new("L", (60, 41), 1).save(masks / "jpg.png")
    Image.new("L", (60, 40), 1).save(masks / "png.png", "JPEG")
    cut(images / "bmp.bmp")
    (images / "tif.tif").write_text("hello")
    cut(masks / "webp.png")
    (images / "ppm.ppm").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        check_pairs(open_pairs(folders))
    text = str(caught.value)
    assert text.startswith("6 of 6 pairs of ")
    for part in (
        "jpg.png' is (41, 60) and its image (40, 60) (rows, columns)",
        "png.png' is a mask in the format JPEG",
        "bmp.bmp': BMP of 7254 bytes is truncated".replace("7254", str(int(0.6 * 7254))),
        "tif.tif' can't be read",
        "webp.png': PNG of ",
        "ppm.ppm' can't be read",
    ):
        assert part in text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_image_is_found_in_every_format(folders: tuple[Path, Path], suffix: str) -> None:
    cut(folders[0] / f"{suffix[1:]}{suffix}")
    with pytest.raises(InputError, match=rf"1 of 6 pairs[^;]*{suffix[1:]}\{suffix}'"):
        check_pairs(open_pairs(folders))


@pytest.mark.parametrize("suffix", [".bmp", ".tif"])
def test_truncated_mask_is_found_in_every_format(folders: tuple[Path, Path], suffix: str) -> None:
    (folders[1] / "jpg.png").unlink()
    mask = folders[1] / f"jpg{suffix}"
    Image.new("L", (60, 40), 1).save(mask)
    assert check_pairs(open_pairs(folders)) == []
    cut(mask)
    with pytest.raises(InputError, match=rf"jpg\{suffix}': .* is truncated"):
        check_pairs(open_pairs(folders))


def test_only_so_many_faults_are_listed(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for index in range(25):
            (tmp_path / name / f"{index}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"25 of 25 pairs(.|\n)*and 30 more"):
        check_pairs(open_pairs((tmp_path / "images", tmp_path / "masks")))


def test_pairs_beyond_the_limit_are_not_checked(folders: tuple[Path, Path]) -> None:
    cut(folders[0] / "webp.webp")
    assert check_pairs(LimitedDataset(open_pairs(folders), 5)) == []


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_images_with_an_orientation_are_told(folders: tuple[Path, Path], suffix: str) -> None:
    """Turned by 180 degrees an image still has the size of its mask."""
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    draw().save(folders[0] / f"{suffix[1:]}{suffix}", exif=exif)
    [note] = check_pairs(open_pairs(folders))
    assert note.startswith("1 of 6 images of ")
    assert f"have an EXIF orientation, first '{suffix[1:]}{suffix}' (3)" in note


def test_masks_without_an_image_are_told(folders: tuple[Path, Path]) -> None:
    (folders[0] / "png.png").rename(folders[0] / "png.gif")
    [note] = check_pairs(open_pairs(folders))
    assert note.startswith("1 masks, first 'png.png', have no image")
