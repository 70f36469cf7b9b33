"""The worker thread that owns the model: takes the newest frame of each camera in turn.

Payloads are opaque here. Whoever opens a stream supplies how to decode, label and publish them.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from proxia_segmentation_ros.inference.mailbox import Letter, Mailbox
from proxia_segmentation_ros.inference.timing import FrameLedger, Outcome, StreamMeter

logger = logging.getLogger(__name__)

Payload = TypeVar("Payload")
Decoded = TypeVar("Decoded")
Labelled = TypeVar("Labelled")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Stream(Generic[Payload, Decoded, Labelled]):
    """One camera's steps, all called by the worker, and its bookkeeping.

    `publish` sends the labels, `follow_up` what can wait until they are out. A step that raises
    ends the frame; `reject` reports the error and says how the frame counts.
    """

    camera: str
    decode: Callable[[Payload], Decoded]
    label: Callable[[Decoded], Labelled]
    publish: Callable[[Decoded, Labelled], None]
    follow_up: Callable[[Decoded, Labelled], None]
    reject: Callable[[Exception], Outcome]
    age_ms: Callable[[Decoded], float]
    ledger: FrameLedger = field(default_factory=FrameLedger)
    meter: StreamMeter = field(default_factory=StreamMeter)


class Pipeline:
    """Run tasks and frames one after the other in one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._tasks: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._streams: dict[str, Stream[Any, Any, Any]] = {}
        self._mailbox = Mailbox(())
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

    def open(self, streams: Sequence[Stream[Any, Any, Any]]) -> None:
        """Start to take frames for these streams."""
        with self._changed:
            self._streams = {stream.camera: stream for stream in streams}
            self._mailbox = Mailbox(self._streams)

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
            letter = self._mailbox.take(now_s, self._period_s)
            if letter is not None:
                taken, stream = letter, self._streams[letter.camera]
                return lambda: self._process(stream, taken)
            due_s = self._mailbox.next_due_s()
            self._changed.wait(None if due_s is None else max(0.0, due_s - now_s))
        return None

    def _process(self, stream: Stream[Any, Any, Any], letter: Letter) -> None:
        try:
            decoded = stream.decode(letter.payload)
            started_s = self._clock()
            labelled = stream.label(decoded)
            inference_ms = 1e3 * (self._clock() - started_s)
            stream.publish(decoded, labelled)
            age_ms = stream.age_ms(decoded)
        except Exception as error:  # noqa: BLE001 - whatever a frame holds, the worker lives on
            stream.ledger.finish(_reject(stream, error))
            return
        now_s = self._clock()
        stream.ledger.finish("labelled")
        stream.meter.add(
            latency_ms=1e3 * (now_s - letter.received_s),
            age_ms=age_ms,
            inference_ms=inference_ms,
            now_s=now_s,
        )
        try:
            stream.follow_up(decoded, labelled)
        except Exception as error:  # noqa: BLE001 - the labels are out: the frame counts as labelled
            _reject(stream, error)


def _reject(stream: Stream[Any, Any, Any], error: Exception) -> Outcome:
    """Report a frame's error; a report that fails itself must not end the worker."""
    try:
        return stream.reject(error)
    except Exception:
        logger.exception("camera %s can't report %r", stream.camera, error)
        return "dropped_refused"


def _fulfil(future: "Future[Any]", task: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = task()
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the result
        future.set_exception(error)
    else:
        future.set_result(result)
