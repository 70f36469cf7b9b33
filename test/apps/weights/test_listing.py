"""Names of published weights: what is known of them, and how they become usable."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import FileServer, serve

from proxia_segmentation_ros.apps.weights import listing as weights
from proxia_segmentation_ros.apps.weights.conversion import ConversionSettings, convert_weights
from proxia_segmentation_ros.apps.weights.listing import (
    describe_weights,
    download_weights,
    list_weights,
)
from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model import build_model, load_weights, read_card
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.catalogue import CatalogueEntry, read_catalogue

NAME = "hr18s-cityscapes"


class Silent:
    """Progress that nobody watches."""

    def begin(self, text: str, total: int | None = None) -> None:
        pass

    def advance(self) -> None:
        pass


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a checkpoint of the architecture that the name stands for, with slim heads."""
    torch.manual_seed(2)
    network = build_model("hrnet_w18_small_v2_ocr", 19, ocr_mid=16, ocr_key=8)
    path = tmp_path_factory.mktemp("served") / "checkpoint.pth"
    torch.save({"state_dict": network.state_dict()}, path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROXIA_WEIGHTS_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def server(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Serve the checkpoint at the name's address, under its true hash."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(content) as running:
        digits = hashlib.sha256(content).hexdigest()
        change_entry(monkeypatch, url=running.url, sha256=digits[:8])
        yield running


def change_entry(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> CatalogueEntry:
    catalogue = dict(read_catalogue())
    catalogue[NAME] = catalogue[NAME].model_copy(update=changes)
    monkeypatch.setattr(weights, "read_catalogue", lambda: catalogue)
    return catalogue[NAME]


@pytest.mark.slow
def test_name_is_usable_after_its_download(
    server: FileServer, folder: Path, content: bytes
) -> None:
    with pytest.raises(WeightsError, match=r"run `proxia weights download hr18s-cityscapes`"):
        load_weights(NAME)
    assert describe_weights(NAME).state == "download"
    path = download_weights(NAME, Silent())
    assert path == folder / "hr18s-cityscapes.safetensors"
    network, card = load_weights(NAME)
    assert network(torch.rand(1, 3, 64, 64)).shape == (1, 19, 64, 64)
    entry = read_catalogue()[NAME]
    digits = hashlib.sha256(content).hexdigest()
    assert (card.name, card.size_hw, card.terms) == (NAME, entry.size_hw, entry.terms)
    assert (card.scores, card.training_data) == (entry.scores, entry.training_data)
    assert f"SHA-256 {digits}" in card.made_with
    row = describe_weights(NAME)
    assert (row.state, row.path) == ("here", path)
    assert (folder / "SHA256SUMS").read_text() == f"{digits}  {entry.file}\n"
    assert list((folder / "downloads").iterdir()) == []


def test_cut_download_is_continued_by_the_next(server: FileServer, folder: Path) -> None:
    server.cuts = [100_000, 0, 0, 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _seconds: None)
        with pytest.raises(WeightsError, match=r"fetch http.* elsewhere and run `proxia weights "):
            download_weights(NAME, Silent())
    server.asked, server.cuts = [], []
    download_weights(NAME, Silent())
    assert server.asked == ["bytes=100000-"]
    assert read_card(NAME).name == NAME


@pytest.mark.parametrize("is_by_hand", [False, True])
def test_wrong_hash_is_refused(
    server: FileServer, folder: Path, tmp_path: Path, is_by_hand: bool
) -> None:
    server.content = b"changed" + server.content
    file = tmp_path / "by_hand.pth"
    file.write_bytes(server.content)
    digits = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(WeightsError, match=rf"is {digits}; expected the published \w{{8}}\.\.\.;"):
        download_weights(NAME, Silent(), file if is_by_hand else None)
    assert not (folder / "hr18s-cityscapes.safetensors").exists()
    assert not (folder / "SHA256SUMS").exists()
    assert file.exists()
    # What came over the net is gone: the next download begins anew.
    assert not (folder / "downloads").exists() or list((folder / "downloads").iterdir()) == []


def test_hash_of_the_first_download_binds_where_none_is_published(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    change_entry(monkeypatch, url=server.url, sha256="")
    download_weights(NAME, Silent())
    first = hashlib.sha256(content).hexdigest()
    (folder / "hr18s-cityscapes.safetensors").unlink()
    server.content += b"another file by now"
    server.etag = '"two"'
    with pytest.raises(WeightsError, match=rf"expected the recorded in SHA256SUMS {first}; get"):
        download_weights(NAME, Silent())
    assert (folder / "SHA256SUMS").read_text().count("\n") == 1
    assert not (folder / "hr18s-cityscapes.safetensors").exists()


@pytest.mark.slow
def test_weights_that_are_here_are_not_fetched_again(server: FileServer, folder: Path) -> None:
    first = download_weights(NAME, Silent())
    server.asked = []
    assert download_weights(NAME, Silent()) == first
    assert server.asked == []


def test_file_fetched_by_hand_needs_no_network(
    folder: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_entry(monkeypatch, url=None, sha256="")
    with pytest.raises(WeightsError, match=r"fetch it from https://\S+ with a browser, then run"):
        download_weights(NAME, Silent())
    file = tmp_path / "by_hand.pth"
    file.write_bytes(content)
    download_weights(NAME, Silent(), file)
    assert read_card(NAME).architecture == "hrnet_w18_small_v2_ocr"
    assert file.exists()


def test_checkpoint_of_another_network_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_entry(monkeypatch, sha256="")
    file = tmp_path / "other.pth"
    network = build_model("hrnet_w18_small_v1_ocr", 5, ocr_mid=16, ocr_key=8)
    torch.save(network.state_dict(), file)
    with pytest.raises(WeightsError, match=r"holds hrnet_w18_small_v1_ocr with 5 classes; expect"):
        download_weights(NAME, Silent(), file)
    assert list(folder.iterdir()) == []


def test_draft_of_another_process_is_left_alone(
    folder: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_entry(monkeypatch, sha256="")
    file = tmp_path / "by_hand.pth"
    file.write_bytes(content)
    drafts: list[Path] = []

    def convert_beside_another(settings: ConversionSettings) -> ModelCard:
        drafts.append(settings.out)
        if len(drafts) == 1:
            # The other one begins later and ends first.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("os.getpid", lambda: 1)
                download_weights(NAME, Silent(), file)
        return convert_weights(settings)

    monkeypatch.setattr(weights, "convert_weights", convert_beside_another)
    download_weights(NAME, Silent(), file)
    assert len({*drafts}) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", f"{NAME}.safetensors"]


def test_refusal_of_the_disk_is_one_sentence(
    folder: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_entry(monkeypatch, sha256="")
    file = tmp_path / "by_hand.pth"
    file.write_bytes(content)
    (folder / "SHA256SUMS").mkdir(parents=True)
    with pytest.raises(WeightsError, match=r"SHA256SUMS' can't be read or written \(Is a dir"):
        download_weights(NAME, Silent(), file)


def test_missing_file_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"none\.pth' is no checkpoint; expected the file ocrnet"
    ):
        download_weights(NAME, Silent(), tmp_path / "none.pth")


def test_unknown_name_is_refused(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"'nothing' .* expected one of hr18s-cityscapes, "):
        download_weights("nothing", Silent())


def test_list_names_shipped_and_published_weights(folder: Path) -> None:
    rows = {row.name: row for row in list_weights()}
    assert rows["default"].state == "shipped"
    assert rows["default"].path is not None
    assert rows["hr48-ade20k"].state == "download"
    assert rows["mscale-cityscapes"].state == "by hand"
    assert set(read_catalogue()) < set(rows)
    assert all(row.terms and row.architecture and row.classes for row in rows.values())


def test_path_can_be_described(folder: Path) -> None:
    shipped = describe_weights("default").path
    row = describe_weights(str(shipped))
    assert (row.state, row.path) == ("file", shipped)


def test_listing_imports_no_torch(folder: Path) -> None:
    code = (
        "import sys; from proxia_segmentation_ros.apps.weights.listing import list_weights; "
        "list_weights(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
