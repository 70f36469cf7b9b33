"""Downloads that are cut, changed, refused or never answered."""

import email.message
import fcntl
import io
import os
import random
import socket
import urllib.request
import urllib.response
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serve

from proxia_segmentation_ros.apps.weights.download import Download, download_file
from proxia_segmentation_ros.errors import WeightsError

CONTENT = random.Random(1).randbytes(3_400_000)


class Recorder:
    """Keeps what the progress bar is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.steps: list[int] = []

    def begin(self, text: str, total: int | None = None) -> None:
        self.stages.append((text, total))
        self.steps.append(0)

    def advance(self) -> None:
        self.steps[-1] += 1


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(CONTENT) as running:
        yield running


def fetch(url: str, target: Path) -> Recorder:
    progress = Recorder()
    download = Download(url=url, target=target, title="street", advice="fetch it elsewhere")
    download_file(download, progress, pause_s=0.01)
    return progress


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_arrives_with_progress(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "weights.pth"
    progress = fetch(server.url, target)
    assert target.read_bytes() == CONTENT
    assert list_names(target.parent) == ["weights.pth"]
    assert (progress.stages, progress.steps) == ([("street, MB", 4)], [4])
    assert server.asked == [None]


def test_cut_download_goes_on_by_itself(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [1_200_000, 1_000_000]
    progress = fetch(server.url, tmp_path / "weights.pth")
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1200000-", "bytes=2200000-"]
    assert server.sent == len(CONTENT)
    assert (progress.stages, progress.steps) == ([("street, MB", 4)], [4])


def test_another_run_goes_on_where_the_first_ended(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    server.cuts = [1_500_000, 0, 0, 0]
    with pytest.raises(
        WeightsError, match=r"\(the connection was cut\), the 1\.5 MB that came are"
    ):
        fetch(server.url, target)
    assert list_names(tmp_path) == ["weights.pth.part", "weights.pth.part.json"]
    server.asked, server.cuts = [], []
    progress = fetch(server.url, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=1500000-"]
    assert list_names(tmp_path) == ["weights.pth"]
    assert (progress.stages, progress.steps) == ([("street, MB", 4)], [4])


@pytest.mark.parametrize("change", ["etag", "ranges", "note", "untold"])
def test_what_can_not_be_continued_begins_anew(
    server: FileServer, tmp_path: Path, change: str
) -> None:
    target, note = tmp_path / "weights.pth", tmp_path / "weights.pth.part.json"
    if change == "untold":
        server.etag = ""
    server.cuts = [1_500_000] + [0] * 3
    with pytest.raises(WeightsError):
        fetch(server.url, target)
    server.cuts = []
    if change == "etag":
        server.content, server.etag = CONTENT[::-1], '"two"'
    elif change == "ranges":
        server.knows_ranges = False
    elif change == "note":
        note.write_text("{")
    fetch(server.url, target)
    assert target.read_bytes() == server.content
    assert list_names(tmp_path) == ["weights.pth"]


def test_address_of_another_file_begins_anew(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    server.cuts = [1_500_000] + [0] * 3
    with pytest.raises(WeightsError):
        fetch(server.url, target)
    server.cuts, server.asked = [], []
    fetch(server.url + "?other", target)
    assert server.asked == [None]
    assert target.read_bytes() == CONTENT


def test_file_that_was_whole_but_not_named_is_taken(server: FileServer, tmp_path: Path) -> None:
    target, part = tmp_path / "weights.pth", tmp_path / "weights.pth.part"
    server.cuts = [1_500_000] + [0] * 3
    with pytest.raises(WeightsError):
        fetch(server.url, target)
    server.sent, server.cuts = 0, []
    part.write_bytes(CONTENT)
    fetch(server.url, target)
    assert target.read_bytes() == CONTENT
    assert server.sent == 0


def test_part_longer_than_the_file_begins_anew(server: FileServer, tmp_path: Path) -> None:
    target, part = tmp_path / "weights.pth", tmp_path / "weights.pth.part"
    server.cuts = [1_500_000] + [0] * 3
    with pytest.raises(WeightsError):
        fetch(server.url, target)
    server.cuts = []
    part.write_bytes(CONTENT + b"more")
    fetch(server.url, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("cuts", [[1_000_000] * 9, [1_000_000, 800_000, 900_000] * 3])
def test_server_without_ranges_that_always_cuts_is_given_up(
    server: FileServer, tmp_path: Path, cuts: list[int]
) -> None:
    server.knows_ranges = False
    server.cuts = cuts
    with pytest.raises(WeightsError, match="can't be reached"):
        fetch(server.url, tmp_path / "weights.pth")
    assert len(server.asked) == 3


def test_untold_length_is_no_matter(server: FileServer, tmp_path: Path) -> None:
    server.is_length_told = False
    progress = fetch(server.url, tmp_path / "weights.pth")
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT
    assert progress.stages == [("street, MB", None)]


def test_busy_server_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.refusals = [503, 502]
    fetch(server.url, tmp_path / "weights.pth")
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [403, 404, 410])
def test_refusal_is_told_at_once(server: FileServer, tmp_path: Path, code: int) -> None:
    server.refusals = [code]
    with pytest.raises(WeightsError, match=rf"weights\.pth answers {code} .*hand it over with --f"):
        fetch(server.url, tmp_path / "weights.pth")
    assert len(server.asked) == 1
    assert list_names(tmp_path) == []


@pytest.mark.parametrize("elsewhere", ["http://host/file.pth", "ftp://host/file.pth"])
def test_server_never_leads_from_https_to_less(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, elsewhere: str
) -> None:
    """Answer for https without a certificate: the address alone decides."""

    def answer(_self: object, request: urllib.request.Request) -> urllib.response.addinfourl:
        asked.append(request.full_url)
        headers = email.message.Message()
        headers["Location"] = elsewhere
        answered = urllib.response.addinfourl(io.BytesIO(), headers, request.full_url, 302)
        answered.msg = "Found"  # type: ignore[attr-defined]
        return answered

    asked: list[str] = []
    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", answer)
    monkeypatch.setattr(urllib.request.HTTPHandler, "http_open", answer)
    monkeypatch.setattr(urllib.request.FTPHandler, "ftp_open", answer)
    with pytest.raises(WeightsError, match=rf"leads to {elsewhere}; expected an address of https"):
        fetch("https://host/file.pth", tmp_path / "weights.pth")
    assert asked == ["https://host/file.pth"]
    assert list_names(tmp_path) == []


def test_server_may_lead_elsewhere(server: FileServer, tmp_path: Path) -> None:
    with serve(b"") as first:
        first.leads_to = server.url
        fetch(first.url, tmp_path / "weights.pth")
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_no_connection_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(WeightsError) as caught:
        fetch(f"http://{host}/weights.pth", tmp_path / "weights.pth")
    assert str(caught.value) == (
        f"{host} can't be reached (Connection refused); expected a connection to the internet; "
        "give the same command again when there is one, or fetch it elsewhere"
    )
    assert list_names(tmp_path) == []


def test_unknown_host_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(WeightsError, match=r"^no\.such\.host\.invalid can't be reached \(.+\); "):
        fetch("http://no.such.host.invalid/weights.pth", tmp_path / "weights.pth")


def test_two_downloads_do_not_write_one_file(server: FileServer, tmp_path: Path) -> None:
    part = tmp_path / "weights.pth.part"
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WeightsError, match=r"is being written by another process"):
            fetch(server.url, tmp_path / "weights.pth")
    assert server.asked == []


def test_file_that_another_process_just_finished_is_left_alone(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, target = tmp_path / "weights.pth.part", tmp_path / "weights.pth"
    part.write_bytes(CONTENT)
    monkeypatch.setattr(fcntl, "flock", lambda _file, _how: part.replace(target))
    with pytest.raises(WeightsError, match=r"is being written by another process"):
        fetch(server.url, target)
    assert target.read_bytes() == CONTENT


def test_folder_that_can_not_be_is_one_sentence(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"can't be written \(.*\); expected a folder with room"):
        fetch(server.url, tmp_path / "file" / "weights.pth")


def test_full_disk_is_one_sentence(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(WeightsError, match=r"can't be written \(No space left on device\)"):
        fetch(server.url, tmp_path / "weights.pth")
