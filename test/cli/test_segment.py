"""`proxia segment` as a person runs it, with the shipped weights."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from sample_files import write_images

from proxia_segmentation_ros.cli import main


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["proxia", "segment", *map(str, arguments)])
    code = main()
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.slow
def test_exit_code_and_last_line_tell_what_became_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "in", ["a.png", "b.png"])
    (folder / "notes.txt").write_text("text")
    options = [folder, "-o", tmp_path / "out", "--backend", "torch", "--write"]
    code, out, _ = call(monkeypatch, capsys, *options, "labels,confidence")
    assert code == 0
    assert out.splitlines()[-1] == f"wrote 4 files to {tmp_path / 'out'}; 1 no images"
    (folder / "c.png").touch()
    code, out, _ = call(monkeypatch, capsys, *options, "labels", "--skip-existing")
    assert code == 6
    last = "2 had their outputs; 1 failed; 1 no images"
    assert out.splitlines()[-1] == f"wrote 0 files to {tmp_path / 'out'}; {last}"
    code, _, err = call(monkeypatch, capsys, folder / "c.png", "-o", tmp_path / "out")
    assert code == 3
    assert err.startswith("proxia: none of the 1 images")


@pytest.mark.slow
def test_averaged_copies_and_probabilities_come_from_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "in", ["a.png"])
    out = tmp_path / "out"
    averaged = ["--flip", "--average-scales", "0.5,1.0", "--size", "96x64"]
    write = ["--write", "labels,probabilities,confidence16"]
    code, _, err = call(monkeypatch, capsys, folder, "-o", out, *write, *averaged)
    assert code == 0, err
    with np.load(out / "a_probabilities.npz") as stored:
        probabilities_KHW = stored["probabilities_KHW"]
    labels_HW = cv2.imread(str(out / "a_labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels_HW is not None
    chosen_HW = np.take_along_axis(probabilities_KHW, labels_HW[None].astype(int), 0)[0]
    np.testing.assert_allclose(chosen_HW, probabilities_KHW.max(0), atol=1e-3)
    # A picture of one shade: the mirror image's logits make it symmetric.
    np.testing.assert_allclose(probabilities_KHW, probabilities_KHW[..., ::-1], atol=2e-3)


def test_what_robots_backends_do_needs_no_torch(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "in", ["a.png"])
    code = (
        "import sys\n"
        "from proxia_segmentation_ros.apps.segment import run as segment\n"
        "from proxia_segmentation_ros.cli import main\n"
        "class Stop(Exception): pass\n"
        "def stop(*_): raise Stop\n"
        "segment.Labeller = stop\n"
        f"sys.argv = ['proxia', 'segment', {str(folder)!r}, '-o', {str(tmp_path / 'out')!r}]\n"
        "try: main()\n"
        "except Stop: print('reached', 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "reached False", done.stderr


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--write", "film"], 2, "'film'"),
        (["--write", "errors"], 2, "--truth"),
        (["--write", "attention"], 2, "single-scale"),
        (["--average-scales", "much"], 2, "'much'"),
        (["--truth", "/no/masks", "--write", "errors"], 3, "'/no/masks' does not exist"),
    ],
)
def test_mistakes_are_one_sentence(
    options: list[str],
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_images(tmp_path / "in", ["a.png"])
    found, _, err = call(monkeypatch, capsys, folder, "-o", tmp_path / "out", *options)
    assert (found, sentence in err) == (code, True), err
    assert err.startswith("proxia: ")
