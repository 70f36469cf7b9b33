"""A small HTTP server with the faults that servers on the way to a file have."""

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """Serves `content` under any path; the faults may change between requests."""

    content: bytes
    knows_ranges: bool = True
    etag: str = '"one"'
    # The answer of each request ends after so many bytes of its body; then none is cut.
    cuts: list[int] = field(default_factory=list)
    # Status codes that come before the first real answer.
    refusals: list[int] = field(default_factory=list)
    is_length_told: bool = True
    leads_to: str = ""
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.refusals:
            handler.send_error(self.refusals.pop(0))
            return
        if self.leads_to:
            handler.send_response(302)
            handler.send_header("Location", self.leads_to)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        begin = self._find_begin(handler, wanted)
        if begin is not None and begin >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = self.content[begin or 0 :]
        handler.send_response(200 if begin is None else 206)
        if begin is not None:
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {begin}-{last}/{len(self.content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        if self.is_length_told:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        body = body[: self.cuts.pop(0)] if self.cuts else body
        self.sent += len(body)
        handler.wfile.write(body)
        handler.close_connection = True

    def _find_begin(self, handler: BaseHTTPRequestHandler, wanted: str | None) -> int | None:
        """Return where a partial answer begins, None where the whole is due."""
        if not wanted or not self.knows_ranges or handler.headers.get("If-Range") != self.etag:
            return None
        found = re.fullmatch(r"bytes=(\d+)-", wanted)
        assert found is not None, wanted
        return int(found[1])


@contextlib.contextmanager
def serve(content: bytes) -> Iterator[FileServer]:
    """Run the server on a free port of this machine."""
    server = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{http_server.server_address[1]}/weights.pth"
        yield server
        http_server.shutdown()
        thread.join()
