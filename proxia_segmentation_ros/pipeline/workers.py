"""The workers that run the model: they take the newest frame of each camera in turn."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from proxia_segmentation_ros.pipeline.mailbox import Mailbox, PendingFrame
from proxia_segmentation_ros.pipeline.stream import Capacity, Segment, Steps, process_frames

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Job:
    """What a worker does next; a task has no cameras and runs while nothing else does."""

    run: Callable[[], None]
    cameras: tuple[str, ...] = ()


class FrameWorkers:
    """Run tasks and frames: the frames of a camera one after the other, those of others beside it.

    The first worker runs every task, and every frame where one call runs at a time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._tasks: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._streams: dict[str, Steps] = {}
        self._mailbox = Mailbox(())
        self._segment: Segment = list
        self._find_capacity: Callable[[], Capacity] = Capacity
        self._period_s = 0.0
        self._jobs: list[_Job] = []
        self._is_closing = False
        self._threads: list[threading.Thread] = []
        self._add_workers(1)

    def run(self, task: Callable[[], Result]) -> "Future[Result]":
        """Run a task in the first worker, before the next frame and beside none."""
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
        streams: Sequence[Steps],
        segment: Segment,
        find_capacity: Callable[[], Capacity] = Capacity,
    ) -> None:
        """Start to take frames for these streams.

        `segment` gets the frames that are ready at one time, never two of one camera. The workers
        ask `find_capacity` before each call; no more of them are started than it says now.
        """
        with self._changed:
            self._streams = {stream.camera: stream for stream in streams}
            self._mailbox = Mailbox(self._streams)
            self._segment = segment
            self._find_capacity = find_capacity
            self._add_workers(min(len(self._streams), find_capacity().at_once))

    def put(self, camera: str, payload: Any) -> None:
        """Swap the newest frame into the camera's slot; never blocks on the model."""
        now_s = self._clock()
        with self._changed:
            stream = self._streams.get(camera)
            if stream is None:
                return
            stream.ledger.receive()
            held = self._mailbox.is_held(camera, now_s)
            pending = PendingFrame(camera=camera, payload=payload, received_s=now_s)
            if self._mailbox.put(pending) is not None:
                stream.ledger.finish("dropped_paused" if held else "dropped_replaced")
            self._changed.notify_all()

    def limit_rate(self, max_rate_hz: float) -> None:
        """Take at most this many frames a second from each camera; 0 takes all."""
        with self._changed:
            self._period_s = 1.0 / max_rate_hz if max_rate_hz > 0 else 0.0
            self._mailbox.release()
            self._changed.notify_all()

    def pause(self, timeout_s: float) -> bool:
        """Drop what waits, take no more, and wait for the frames in the model.

        Returns:
            False when one was still in the model after `timeout_s`.
        """
        with self._changed:
            for pending in self._mailbox.clear():
                self._streams[pending.camera].ledger.finish("dropped_paused")
            self._streams = {}
            self._mailbox = Mailbox(())
            return self._changed.wait_for(lambda: not self._jobs, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Stop the workers after what they do now; False when one is still busy with that."""
        with self._changed:
            self._is_closing = True
            for future, _ in self._tasks:
                future.cancel()
            self._tasks.clear()
            self._changed.notify_all()
        give_up_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, give_up_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _add_workers(self, wanted: int) -> None:
        while len(self._threads) < wanted:
            index = len(self._threads)
            name = "model" if index == 0 else f"model {index + 1}"
            thread = threading.Thread(target=self._work, args=(index,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self, index: int) -> None:
        while True:
            with self._changed:
                job = self._wait_for_job(index)
                if job is None:
                    return
                self._jobs.append(job)
            job.run()
            with self._changed:
                self._jobs.remove(job)
                self._changed.notify_all()
            # A frame kept alive by this name would hold its memory until the next one comes.
            del job

    def _wait_for_job(self, index: int) -> _Job | None:
        while not self._is_closing:
            timeout_s = None
            if self._tasks:
                if index == 0 and not self._jobs:
                    return _Job(partial(_fulfil, *self._tasks.popleft()))
            elif all(job.cameras for job in self._jobs):
                job, timeout_s = self._take_frames(index)
                if job is not None:
                    return job
            self._changed.wait(timeout_s)
        return None

    def _take_frames(self, index: int) -> tuple[_Job | None, float | None]:
        """Return the frames whose turn it is, else how long to wait at most."""
        together, at_once = self._find_capacity()
        if index >= at_once:
            return None, None
        busy = [camera for job in self._jobs for camera in job.cameras]
        now_s = self._clock()
        frames = self._mailbox.take_due(now_s, self._period_s, together, busy)
        if frames:
            taken = [(self._streams[pending.camera], pending) for pending in frames]
            cameras = tuple(pending.camera for pending in frames)
            run = partial(process_frames, taken, self._segment, self._clock)
            return _Job(run, cameras), None
        due_s = self._mailbox.next_due_s(busy)
        return None, None if due_s is None else max(0.0, due_s - now_s)


def _fulfil(future: "Future[Any]", task: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = task()
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the result
        future.set_exception(error)
    else:
        future.set_result(result)
