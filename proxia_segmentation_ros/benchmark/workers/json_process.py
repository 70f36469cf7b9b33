"""A Python process that serves requests: one JSON line in, one JSON line out."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from typing_extensions import Self

from proxia_segmentation_ros.errors import (
    BackendError,
    ConfigError,
    InputError,
    ProxiaError,
    WeightsError,
)


class JsonProcess:
    """The client end; the server end is a module that runs in a child process."""

    def __init__(self, module: str, work: str, env: Mapping[str, str]) -> None:
        """Start the module; errors name it by `work`, what it does."""
        self._work = work
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def request(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return the response.

        Raises:
            BackendError: the process has ended.
            ProxiaError: the process responded with an error, by `reporting_errors`.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise BackendError(f"the process of {self._work} has no pipes")
        try:
            stdin.write(json.dumps(content) + "\n")
            stdin.flush()
            for line in stdout:
                if line.startswith("{"):
                    response: dict[str, Any] = json.loads(line)
                    _raise_reported(response)
                    return response
        except BrokenPipeError:
            pass  # it has ended: see below
        raise BackendError.from_parts(
            f"the process of {self._work} ended with {self._process.wait()}",
            "a response to each request",
            "read its error above",
        )

    def close(self) -> None:
        """End the process, even in the middle of a request."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            # Flushing fails where the process ended before it read everything.
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Send an error of the block as the response, which the client raises again."""
    try:
        yield
    except ProxiaError as error:
        respond({"error": str(error), "kind": type(error).__name__})


def _raise_reported(response: Mapping[str, Any]) -> None:
    kinds = (ConfigError, InputError, WeightsError, BackendError, ProxiaError)
    for kind in kinds:
        if response.get("kind") == kind.__name__:
            raise kind(response["error"])


def read_requests() -> Iterator[dict[str, Any]]:
    """Yield the requests on stdin until it closes."""
    for line in sys.stdin:
        yield json.loads(line)


def respond(content: Mapping[str, Any]) -> None:
    """Send the response to the last request."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
