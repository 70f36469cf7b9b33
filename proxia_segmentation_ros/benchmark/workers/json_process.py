"""Another Python process that answers questions: one JSON line in, one JSON line out."""

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


class AnsweringProcess:
    """The end that asks; the other one is a module that is run."""

    def __init__(self, module: str, work: str, env: Mapping[str, str]) -> None:
        """Start the module; `work` names what it does, for errors."""
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

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer.

        Raises:
            BackendError: the process has ended.
            ProxiaError: what the process told by `telling_errors`.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise BackendError(f"the process of {self._work} has no pipes")
        try:
            stdin.write(json.dumps(question) + "\n")
            stdin.flush()
            for line in stdout:
                if line.startswith("{"):
                    answer: dict[str, Any] = json.loads(line)
                    _raise_told(answer)
                    return answer
        except BrokenPipeError:
            pass  # it has ended, as is told below
        raise BackendError.from_parts(
            f"the process of {self._work} ended with {self._process.wait()}",
            "an answer for each question",
            "read its error above",
        )

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            # What a process that has ended did not read is lost with it.
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
def telling_errors() -> Iterator[None]:
    """Answer with an error of the block, which the asking end raises again, instead of a trace."""
    try:
        yield
    except ProxiaError as error:
        answer({"error": str(error), "kind": type(error).__name__})


def _raise_told(answer: Mapping[str, Any]) -> None:
    kinds = (ConfigError, InputError, WeightsError, BackendError, ProxiaError)
    for kind in kinds:
        if answer.get("kind") == kind.__name__:
            raise kind(answer["error"])


def read_questions() -> Iterator[dict[str, Any]]:
    """Return the questions on stdin until it closes."""
    for line in sys.stdin:
        yield json.loads(line)


def answer(content: Mapping[str, Any]) -> None:
    """Answer the question read last."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
