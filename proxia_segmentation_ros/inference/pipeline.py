"""The worker thread that owns the model: takes the newest frame of each camera in turn."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from proxia_segmentation_ros.inference.frame_round import FrameRound, Label, Stream
from proxia_segmentation_ros.inference.mailbox import Letter, Mailbox

Result = TypeVar("Result")


class Pipeline:
    """Run tasks and frames one after the other in one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._tasks: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._streams: dict[str, Stream[Any, Any, Any]] = {}
        self._mailbox = Mailbox(())
        self._round = FrameRound(list, clock)
        self._most_together: Callable[[], int] = lambda: 1
        self._period_s = 0.0
        self._is_busy = False
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def run(self, task: Callable[[], Result]) -> "Future[Result]":
        """Run a task in the worker, before the next frame."""
        future: Future[Result] = Future()
        with self._changed:
            if self._is_closing:
                future.cancel()
                return future
            self._tasks.append((future, task))
            self._changed.notify_all()
        return future

    def open(
        self,
        streams: Sequence[Stream[Any, Any, Any]],
        label: Label,
        most_together: Callable[[], int] = lambda: 1,
    ) -> None:
        """Start to take frames for these streams.

        `label` gets the frames that are ready at one time, `most_together` at most and never two
        of one camera; it is asked in the worker before each round.
        """
        with self._changed:
            self._streams = {stream.camera: stream for stream in streams}
            self._mailbox = Mailbox(self._streams)
            self._round = FrameRound(label, self._clock)
            self._most_together = most_together

    def put(self, camera: str, payload: Any) -> None:
        """Swap the newest frame into the camera's slot; never blocks on the model."""
        now_s = self._clock()
        with self._changed:
            stream = self._streams.get(camera)
            if stream is None:
                return
            stream.ledger.receive()
            held = self._mailbox.is_held(camera, now_s)
            letter = Letter(camera=camera, payload=payload, received_s=now_s)
            if self._mailbox.put(letter) is not None:
                stream.ledger.finish("dropped_paused" if held else "dropped_replaced")
            self._changed.notify_all()

    def limit_rate(self, max_rate_hz: float) -> None:
        """Take at most this many frames a second from each camera; 0 takes all."""
        with self._changed:
            self._period_s = 1.0 / max_rate_hz if max_rate_hz > 0 else 0.0
            self._mailbox.release()
            self._changed.notify_all()

    def pause(self, timeout_s: float) -> bool:
        """Drop what waits, take no more, and wait for the frame in the model.

        Returns:
            False when that frame was still in the model after `timeout_s`.
        """
        with self._changed:
            for letter in self._mailbox.clear():
                self._streams[letter.camera].ledger.finish("dropped_paused")
            self._streams = {}
            self._mailbox = Mailbox(())
            return self._changed.wait_for(lambda: not self._is_busy, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Stop the worker after what it does now; False when it is still busy with that."""
        with self._changed:
            self._is_closing = True
            for future, _ in self._tasks:
                future.cancel()
            self._tasks.clear()
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                job = self._wait_for_job()
                self._is_busy = job is not None
            if job is None:
                return
            job()
            # A frame kept alive by this name would hold its memory until the next one comes.
            del job

    def _wait_for_job(self) -> Callable[[], None] | None:
        while not self._is_closing:
            if self._tasks:
                future, task = self._tasks.popleft()
                return lambda: _fulfil(future, task)
            now_s = self._clock()
            letters = self._mailbox.take_due(now_s, self._period_s, self._most_together())
            if letters:
                taken = [(self._streams[letter.camera], letter) for letter in letters]
                return partial(self._round.process, taken)
            due_s = self._mailbox.next_due_s()
            self._changed.wait(None if due_s is None else max(0.0, due_s - now_s))
        return None


def _fulfil(future: "Future[Any]", task: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = task()
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the result
        future.set_exception(error)
    else:
        future.set_result(result)
