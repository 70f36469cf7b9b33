"""Folders of images and masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder, read_image, read_mask
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set

RED_RGB = (255, 0, 0)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for index in range(3):
        image_bgr = np.full((20, 30, 3), RED_RGB[::-1], np.uint8)
        mask = np.full((20, 30), index, np.uint8)
        mask[:5] = 11
        cv2.imwrite(str(images / f"{index}.png"), image_bgr)
        cv2.imwrite(str(masks / f"{index}.png"), mask)
    return images, masks


def test_pairs_come_in_rgb_with_void_unlabeled(folders: tuple[Path, Path]) -> None:
    pairs = ImageMaskFolder(*folders, load_label_set("camvid"))
    image_HWC, labels_HW = pairs[2]
    assert len(pairs) == 3
    assert tuple(image_HWC[0, 0]) == RED_RGB
    assert set(np.unique(labels_HW[:5])) == {255}
    assert set(np.unique(labels_HW[5:])) == {2}


def test_decoded_pairs_are_kept_when_asked(folders: tuple[Path, Path]) -> None:
    pairs = ImageMaskFolder(*folders, load_label_set("camvid"), keep_decoded=True)
    assert pairs[0][0] is pairs[0][0]


def test_missing_mask_names_the_image(folders: tuple[Path, Path]) -> None:
    (folders[1] / "1.png").unlink()
    with pytest.raises(InputError, match=r"1 of 3 images have no mask.*'1\.png'"):
        ImageMaskFolder(*folders, load_label_set("camvid"))


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        ImageMaskFolder(tmp_path / "nowhere", tmp_path, load_label_set("camvid"))


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        ImageMaskFolder(tmp_path, tmp_path, load_label_set("camvid"))


def test_sizes_that_differ_are_named(folders: tuple[Path, Path]) -> None:
    cv2.imwrite(str(folders[1] / "0.png"), np.zeros((10, 30), np.uint8))
    with pytest.raises(InputError, match=r"\(10, 30\).*\(20, 30\)"):
        ImageMaskFolder(*folders, load_label_set("camvid"))[0]


def test_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("hello")
    with pytest.raises(InputError, match="can't be read"):
        read_image(path)
    with pytest.raises(InputError, match="can't be read"):
        read_mask(path, load_label_set("camvid"))


def test_damaged_files_are_refused_without_a_word_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    path = tmp_path / "image.jpg"
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    path.write_bytes(jpeg[: len(jpeg) // 2] + b"\xff\xd9")
    with pytest.raises(InputError, match=r"image\.jpg' can't be read: .*premature end of data"):
        read_image(path)
    mask = tmp_path / "mask.png"
    png = cv2.imencode(".png", noise[..., 0])[1].tobytes()
    mask.write_bytes(png[: len(png) // 2] + b"\x55" * 9 + png[len(png) // 2 + 9 :])
    with pytest.raises(InputError, match=r"mask\.png': PNG chunk b'IDAT' at byte \d+ is corrupt"):
        read_mask(mask, load_label_set("camvid"))
    assert capfd.readouterr() == ("", "")


def test_colour_mask_is_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="one channel"):
        read_mask(folders[0] / "0.png", load_label_set("camvid"))


def test_grey_mask_saved_as_colours_is_read(folders: tuple[Path, Path]) -> None:
    cv2.imwrite(str(folders[1] / "0.png"), np.full((20, 30, 3), 4, np.uint8))
    assert set(np.unique(ImageMaskFolder(*folders, load_label_set("camvid"))[0][1])) == {4}


def test_other_files_beside_images_and_masks_do_not_count(folders: tuple[Path, Path]) -> None:
    images, masks = folders
    for path in (images / "._0.png", masks / "._0.png", masks / "0.json", images / "notes.txt"):
        path.write_text("{}")
    pairs = ImageMaskFolder(*folders, load_label_set("camvid"))
    assert [mask.name for _, mask in pairs.paths] == ["0.png", "1.png", "2.png"]


ORIENTATION = 0x0112


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("size_hw", [(24, 40), (32, 32)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_image_lies_under_its_mask_whatever_its_orientation(
    tmp_path: Path, suffix: str, size_hw: tuple[int, int], orientation: int
) -> None:
    """A phone stores pixels as its sensor lies, and a note how to turn them."""
    labels_HW = np.zeros(size_hw, np.uint8)
    labels_HW[:8] = 1
    labels_HW[:, :8] = 2
    image_HWC = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200)], np.uint8)[labels_HW]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(image_HWC).save(tmp_path / "images" / f"0{suffix}", exif=exif, quality=100)
    Image.fromarray(labels_HW).save(tmp_path / "masks" / "0.png")
    pairs = ImageMaskFolder(tmp_path / "images", tmp_path / "masks", load_label_set("camvid"))
    read_HWC, read_HW = pairs[0]
    np.testing.assert_array_equal(read_HW, labels_HW)
    assert (read_HWC.argmax(axis=2) == labels_HW).mean() > 0.98


def test_mask_of_the_upright_picture_is_told_about_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (40, 24)).save(tmp_path / "images" / "0.jpg", exif=exif)
    Image.new("L", (24, 40)).save(tmp_path / "masks" / "0.png")
    pairs = ImageMaskFolder(tmp_path / "images", tmp_path / "masks", load_label_set("camvid"))
    with pytest.raises(InputError, match=r"\(40, 24\).*\(24, 40\).*EXIF orientation"):
        pairs[0]


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_mask_that_was_only_renamed_to_png_is_refused(tmp_path: Path, file_format: str) -> None:
    path = tmp_path / "0.png"
    Image.new("L", (40, 24), 3).save(path, file_format)
    with pytest.raises(InputError, match=r"can't be read \(it is a .* changes? ids\)"):
        read_mask(path, load_label_set("camvid"))


def test_two_masks_of_one_name_are_refused(folders: tuple[Path, Path]) -> None:
    Image.new("L", (30, 20), 3).save(folders[1] / "0.tif")
    with pytest.raises(InputError, match=r"'0\.png' and '0\.tif' in .*masks' have one name"):
        ImageMaskFolder(*folders, load_label_set("camvid"))


def test_two_images_of_one_name_are_refused(folders: tuple[Path, Path]) -> None:
    Image.new("RGB", (30, 20)).save(folders[0] / "0.jpg")
    with pytest.raises(InputError, match=r"'0\.jpg' and '0\.png' in .*images' have one name"):
        ImageMaskFolder(*folders, load_label_set("camvid"))


@pytest.mark.parametrize(
    "suffix", [".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
def test_images_that_proxia_segment_takes_are_taken_here_too(
    folders: tuple[Path, Path], suffix: str
) -> None:
    Image.new("RGB", (30, 20), RED_RGB).save(folders[0] / f"3{suffix}")
    Image.new("L", (30, 20), 3).save(folders[1] / "3.png")
    pairs = ImageMaskFolder(*folders, load_label_set("camvid"))
    assert len(pairs) == 4
    np.testing.assert_allclose(pairs[3][0][0, 0].astype(int), RED_RGB, atol=8)
