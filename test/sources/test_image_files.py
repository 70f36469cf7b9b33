"""Which files are images, and what is said of the others."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from sample_files import write_images

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.sources.image_files import InputFile, list_inputs, read_image_file


def describe(files: list[InputFile]) -> dict[str, tuple[str, bool]]:
    return {file.display_name: (file.skip_reason, file.is_other_file) for file in files}


def make_jpeg(with_thumbnail: bool = False) -> bytes:
    """Return a JPEG; its thumbnail is a whole JPEG in a segment before the picture."""
    image_HWC = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    content = cv2.imencode(".jpg", image_HWC)[1].tobytes()
    if not with_thumbnail:
        return content
    small = cv2.imencode(".jpg", image_HWC[::4, ::4])[1].tobytes()
    return content[:2] + b"\xff\xe3" + (len(small) + 2).to_bytes(2, "big") + small + content[2:]


def test_first_bytes_tell_what_a_file_is(tmp_path: Path) -> None:
    write_images(tmp_path, ["10.png", "9.png"])
    (tmp_path / "9.png").rename(tmp_path / "9.dat")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("text")
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "lost.png").symlink_to("/no/such.png")
    (tmp_path / "lost").symlink_to("/no/such")
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "folder.png").mkdir()
    assert describe(list_inputs(tmp_path)) == {
        "9.dat": ("", False),
        "10.png": ("", False),
        "empty.png": ("no image: the file is empty", False),
        "lost": ("no image: a link to nothing", True),
        "lost.png": ("no image: a link to nothing", False),
        "text.jpg": ("no image: not a format that OpenCV can read", False),
        "text.txt": ("no image: not a format that OpenCV can read", True),
    }


def test_folder_that_may_not_be_read_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "a", ["1.png"])
    write_images(tmp_path / "b", ["1.png"])
    list_folder = Path.iterdir

    def refuse(self: Path) -> object:
        if self.name == "a":
            raise PermissionError(13, "Permission denied")
        return list_folder(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    found = describe(list_inputs(tmp_path, recursive=True))
    assert list(found) == ["a", "b/1.png"]
    assert found["a"][0].startswith("can't be read (Permission denied)")
    assert not found["a"][1]


@pytest.mark.parametrize("with_thumbnail", [False, True])
def test_jpeg_cut_short_is_no_grey_picture(tmp_path: Path, with_thumbnail: bool) -> None:
    content = make_jpeg(with_thumbnail)
    path = tmp_path / "a.jpg"
    path.write_bytes(content + b"\0" * 99)
    assert read_image_file(path).shape == (48, 64, 3)
    for length in (len(content) - 2, len(content) * 3 // 4, 20, 3):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="is truncated"):
            read_image_file(path)


def test_jpeg_damaged_in_its_middle_is_no_picture(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = make_jpeg()
    path = tmp_path / "a.jpg"
    for damaged in (content[:2000] + content[-2:], content[:2000] + content[2900:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"bytes can't be decoded \("):
            read_image_file(path)
    assert capfd.readouterr() == ("", "")


def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path) -> None:
    grey_HW = np.full((20, 30), 200, np.uint8)
    pictures: dict[str, np.ndarray] = {
        "grey.png": grey_HW,
        "deep.png": grey_HW.astype(np.uint16) * 257,
        "clear.png": np.full((20, 30, 4), 200, np.uint8),
        "grey.tiff": grey_HW,
        "grey.bmp": grey_HW,
    }
    for name, picture in pictures.items():
        assert cv2.imwrite(str(tmp_path / name), picture)
        image_HWC = read_image_file(tmp_path / name)
        assert (image_HWC.shape, image_HWC.dtype) == ((20, 30, 3), np.uint8)
        assert (image_HWC == 200).all()


def test_file_that_went_away_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_image_file(tmp_path / "gone.png")


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_picture_is_turned_as_opencv_turns_it(
    tmp_path: Path, file_format: str, orientation: int
) -> None:
    stored = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 255, (16, 24, 3), dtype=np.uint8), (0, 0), 3
    )
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "phone"
    Image.fromarray(stored).save(path, file_format, exif=exif)
    theirs: Any = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    theirs = theirs[..., ::-1]
    assert np.array_equal(read_image_file(path), theirs)
    assert theirs.shape[:2] == ((24, 16) if 5 <= orientation <= 8 else (16, 24))


@pytest.mark.parametrize("exif", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"\0" * 40])
def test_broken_exif_turns_nothing(tmp_path: Path, exif: bytes) -> None:
    jpeg = make_jpeg()
    segment = b"Exif\0\0" + exif
    path = tmp_path / "a.jpg"
    path.write_bytes(
        jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]
    )
    assert read_image_file(path).shape == (48, 64, 3)


def test_picture_is_turned_upright_unless_it_shall_be_as_stored(tmp_path: Path) -> None:
    stored = np.zeros((16, 24, 3), np.uint8)
    stored[:, :12] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(stored).save(tmp_path / "phone.png", exif=exif)
    assert read_image_file(tmp_path / "phone.png").shape == (24, 16, 3)
    assert (read_image_file(tmp_path / "phone.png", as_stored=True) == stored).all()
