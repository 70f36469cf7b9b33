"""Download a large file over HTTP, with progress; interrupted downloads are resumed."""

import fcntl
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.parsing import parse_json
from proxia_segmentation_ros.progress import Progress

BLOCK_BYTES = 1 << 18
MEGABYTE = 1_000_000
TIMEOUT_S = 30.0
PAUSE_S = 2.0
# Give up after this many attempts in a row without new data.
MAX_FRUITLESS_ATTEMPTS = 3
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE, SERVER_ERROR = 206, 416, 500
USER_AGENT = "proxia_segmentation_ros"


class _ConnectionLostError(Exception):
    """The connection was refused, lost or timed out: try again."""


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to an insecure protocol."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request.

        Raises:
            WeightsError: the redirect leads from https to another protocol.
        """
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            fp.close()
            raise WeightsError.from_parts(
                f"{req.full_url} leads to {newurl}",
                "an address of https",
                "fetch the file from the page that `proxia weights show` names, and hand it "
                "over with --file",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True, kw_only=True)
class Download:
    """What to download and where to; `advice` is the remedy if there is no connection."""

    url: str
    target: Path
    title: str
    advice: str


def download_file(download: Download, progress: Progress, *, pause_s: float = PAUSE_S) -> None:
    """Download the file; an incomplete download stays in `TARGET.part`.

    Raises:
        WeightsError: there is no connection, the server refuses, or the disk is full or read-only.
    """
    part = download.target.with_name(download.target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with _open_alone(part) as file:
            _fetch(download, file, progress, pause_s)
            part.replace(download.target)
        _find_note(part).unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError.from_parts(
            f"{str(part)!r} can't be written ({error.strerror or error})",
            "a folder with room that is writable",
            "make room, or set PROXIA_WEIGHTS_DIR to another folder",
        ) from error


@contextmanager
def _open_alone(part: Path) -> Iterator[BinaryIO]:
    """Open the partial file for appending and lock it."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not (part.exists() and os.path.samefile(part, file.fileno())):
                # Another process has just finished and renamed the file that was opened here.
                raise BlockingIOError
        except BlockingIOError as error:
            raise WeightsError.from_parts(
                f"{str(part)!r} is being written by another process",
                "one download at a time",
                "wait for it",
            ) from error
        try:
            yield file
        finally:
            if not file.tell():
                part.unlink(missing_ok=True)


def _fetch(download: Download, file: BinaryIO, progress: Progress, pause_s: float) -> None:
    """Try until the file is complete; progress beyond all earlier attempts resets their count."""
    meter = _Meter(progress, download.title)
    fruitless = 0
    furthest = file.tell()
    while True:
        try:
            _attempt(download.url, file, meter)
            return
        except _ConnectionLostError as error:
            # If the server has no ranges, an attempt starts anew and may bring nothing new.
            fruitless = 1 if file.tell() > furthest else fruitless + 1
            furthest = max(furthest, file.tell())
            if fruitless >= MAX_FRUITLESS_ATTEMPTS:
                raise WeightsError.from_parts(
                    f"{urlsplit(download.url).netloc} can't be reached ({error})"
                    f"{_describe_kept(file.tell())}",
                    "a connection to the internet",
                    f"give the same command again when there is one, or {download.advice}",
                ) from error
            time.sleep(pause_s)


def _attempt(url: str, file: BinaryIO, meter: "_Meter") -> None:
    """Request the missing part and append it.

    Raises:
        _ConnectionLostError: fewer bytes came than announced.
        WeightsError: the server refuses.
    """
    note = _read_note(file, url)
    offset = file.tell()
    headers = {"User-Agent": USER_AGENT}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": note["validator"]}
    try:
        response = urllib.request.build_opener(SafeRedirects).open(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S
        )
    except urllib.error.HTTPError as error:
        _handle_http_error(error, url, file, offset)
        return
    except (OSError, http.client.HTTPException) as error:
        raise _ConnectionLostError(_explain(error)) from error
    with response:
        size = _prepare(response, file, offset, url)
        meter.show(file.tell(), size)
        _append(response, file, meter)
        if size is not None and file.tell() != size:
            raise _ConnectionLostError("the connection was cut")
        meter.show(file.tell(), file.tell())


def _prepare(
    response: http.client.HTTPResponse, file: BinaryIO, offset: int, url: str
) -> int | None:
    """Set the file position to the start of the response; return the whole size, if known."""
    if response.status == PARTIAL_CONTENT:
        given = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        if given is None or int(given[1]) != offset:
            _empty(file)
            raise _ConnectionLostError("the server continued at another place")
        return None if given[2] == "*" else int(given[2])
    # The server does not support ranges, or its file has changed: start anew.
    _empty(file)
    _write_note(file, url, response)
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _append(response: http.client.HTTPResponse, file: BinaryIO, meter: "_Meter") -> None:
    while True:
        try:
            block = response.read(BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _ConnectionLostError(_explain(error)) from error
        if not block:
            return
        file.write(block)
        # So that a killed process keeps what has been downloaded.
        file.flush()
        meter.show(file.tell())


def _handle_http_error(
    error: urllib.error.HTTPError, url: str, file: BinaryIO, offset: int
) -> None:
    """Return if the error means that the file is complete already, else raise."""
    with error:
        if error.code == RANGE_NOT_SATISFIABLE and offset:
            whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", "").strip())
            if whole is not None and int(whole[1]) == offset:
                return
            _empty(file)
            raise _ConnectionLostError("the server has less than is here; from the start")
        if error.code >= SERVER_ERROR:
            raise _ConnectionLostError(f"it answers {error.code} {error.reason}")
    raise WeightsError.from_parts(
        f"{url} answers {error.code} {error.reason}",
        "the published file",
        "look for it on the page that `proxia weights show` names, and hand it over with --file",
    )


def _read_note(file: BinaryIO, url: str) -> dict[str, str]:
    """Return the validator of the server's file; empty the file if there is none."""
    try:
        note = parse_json(_find_note(Path(file.name)).read_text(encoding="utf-8"))
        if note["url"] == url and isinstance(note["validator"], str):
            return dict(note)
    except (OSError, ValueError, LookupError, TypeError):
        # A missing or broken note is handled like the note of another address.
        pass
    _empty(file)
    return {"url": url, "validator": ""}


def _write_note(file: BinaryIO, url: str, response: http.client.HTTPResponse) -> None:
    etag = response.headers.get("ETag", "")
    # A weak ETag does not guarantee equal bytes.
    strong = "" if etag.startswith("W/") else etag
    validator = strong or response.headers.get("Last-Modified", "")
    note = _find_note(Path(file.name))
    if validator:
        note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")
    else:
        note.unlink(missing_ok=True)


def _find_note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _explain(error: BaseException) -> str:
    cause: Any = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", "") or cause) or type(error).__name__


def _describe_kept(size: int) -> str:
    return f", the {size / MEGABYTE:.1f} MB that came are kept" if size else ""


class _Meter:
    """Shows the progress in megabytes; starts again if the total size changes."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._shown = 0
        self._total: int | None = None
        self._is_begun = False

    def show(self, done: int, size: int | None = None) -> None:
        """Show `done` bytes; `size` is given at the start of each response."""
        total = None if size is None else -(-size // MEGABYTE)
        megabytes = total if total is not None and done == size else done // MEGABYTE
        is_other = total is not None and self._total not in (None, total)
        if not self._is_begun or megabytes < self._shown or is_other:
            self._progress.begin(f"{self._title}, MB", total)
            self._is_begun, self._shown, self._total = True, 0, total
        for _ in range(megabytes - self._shown):
            self._progress.advance()
        self._shown = max(self._shown, megabytes)
