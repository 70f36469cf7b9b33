"""Worker threads that run the model on the newest frame of each camera in turn.

All state is guarded by one condition variable. A worker holds it only to choose its next job, never
while it runs one, so that `put` returns at once. Two rules decide what a free worker may start:

- A task (load, swap or free a model, change settings) runs alone, so that no frame sees half a
  change. Once a task is queued no new frame starts: busy cameras can't delay it forever.
- Frames of different cameras may run concurrently, two frames of one camera never: results keep the
  order of the images.

A worker that hangs in native code can't be stopped: `abandon` gives its frames an outcome and its
place to a new thread. A worker that dies of an error of ours is replaced too, and told of.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from proxia_segmentation_ros.pipeline.attempt import Attempt
from proxia_segmentation_ros.pipeline.mailbox import Mailbox, PendingFrame
from proxia_segmentation_ros.pipeline.steps import Steps
from proxia_segmentation_ros.pipeline.stream import Capacity, Segment, process_frames

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

# A frame that is due later is looked at again: the clock of a wait has a largest value.
LONGEST_WAIT_S = 60.0
KEPT_AGES = 32
RESTART_DELAY_S = 0.1


@dataclass(frozen=True, eq=False)
class _Job:
    """What a worker does next. A job without frames is a task, which runs alone."""

    run: Callable[[], None]
    attempt: Attempt = field(default_factory=lambda: Attempt(()))

    @property
    def cameras(self) -> tuple[str, ...]:
        return self.attempt.cameras


class FrameWorkers:
    """Run tasks one at a time, and frames of different cameras concurrently.

    The first worker runs all tasks, and all frames if the segmenter takes one call at a time.
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
        # By the index of the worker that runs them.
        self._jobs: dict[int, _Job] = {}
        self._is_closing = False
        self._threads: list[threading.Thread] = []
        self._crash: tuple[float, str] | None = None
        self._processed = 0
        self._ages_s: deque[float] = deque(maxlen=KEPT_AGES)
        self._add_workers(1)

    def recent_crash(self, within_s: float) -> str | None:
        """Return the error that a worker died of lately; a new one has its place."""
        crash = self._crash
        if crash is None or self._clock() - crash[0] > within_s:
            return None
        return crash[1]

    @property
    def processed(self) -> int:
        """Calls of the segmenter since the streams were opened that came back in time."""
        return self._processed

    @property
    def slowest_s(self) -> float:
        """The longest of the last calls that came back in time, in seconds."""
        with self._changed:
            return max(self._ages_s, default=0.0)

    def run(self, task: Callable[[], Result]) -> "Future[Result]":
        """Run a task in the first worker, before the next frame and while no frame runs."""
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
        """Start to process frames for these streams.

        `segment` is called with the frames that are ready, at most one per camera. The workers
        call `find_capacity` before each job; the number of threads is fixed by its value now.
        """
        with self._changed:
            self._streams = {stream.camera: stream for stream in streams}
            self._mailbox = Mailbox(self._streams)
            self._segment = segment
            self._find_capacity = find_capacity
            self._processed = 0
            self._ages_s.clear()
            self._add_workers(min(len(self._streams), find_capacity().at_once))

    def put(self, camera: str, payload: Any) -> None:
        """Put a frame into the camera's slot, replacing a waiting one; does not block."""
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
        """Process at most this many frames per second of each camera; 0 is no limit."""
        with self._changed:
            self._period_s = 1.0 / max_rate_hz if max_rate_hz > 0 else 0.0
            self._mailbox.release()
            self._changed.notify_all()

    def pause(self, timeout_s: float) -> bool:
        """Drop the waiting frames, accept no more, and wait for the frames in the model.

        Returns:
            False if a frame was still in the model after `timeout_s`.
        """
        with self._changed:
            for pending in self._mailbox.clear():
                self._streams[pending.camera].ledger.finish("dropped_paused")
            self._streams = {}
            self._mailbox = Mailbox(())
            return self._changed.wait_for(lambda: not self._jobs, timeout_s)

    def advance(self, elapsed_s: float) -> list[Attempt]:
        """Let the running frames age by the time in which this process ran; return them all."""
        with self._changed:
            running = [job.attempt for job in self._jobs.values() if job.cameras]
            for attempt in running:
                attempt.age_s += elapsed_s
            return running

    def abandon(self, attempt: Attempt, on_abandoned: Callable[[], None]) -> bool:
        """Give up a hanging call: count its frames as failed, and let a new thread take its place.

        `on_abandoned` is called before that thread can take a frame into the same model.

        Returns:
            False if the call has ended meanwhile.
        """
        with self._changed:
            index = next((i for i, job in self._jobs.items() if job.attempt is attempt), None)
            if index is None:
                return False
            attempt.abandon("dropped_failed")
            del self._jobs[index]
            on_abandoned()
            self._start_worker(index)
            self._changed.notify_all()
            return True

    def close(self, timeout_s: float) -> bool:
        """Stop the workers after their current job; return False if one is still busy."""
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
            self._start_worker(len(self._threads))

    def _start_worker(self, index: int) -> None:
        """Start the worker with this index, in the place of an abandoned one if there was one."""
        name = "model" if index == 0 else f"model {index + 1}"
        thread = threading.Thread(target=self._work, args=(index,), name=name, daemon=True)
        self._threads[index : index + 1] = [thread]
        thread.start()

    def _work(self, index: int) -> None:
        while True:
            try:
                self._work_until_closed(index)
                return
            except BaseException as error:
                # No frame raises: this is an error of ours, or of a task's callback.
                with self._changed:
                    if self._threads[index] is not threading.current_thread():
                        return  # abandoned: another thread has its place
                logger.exception("a worker thread died and starts anew")
                with self._changed:
                    self._crash = self._clock(), f"{type(error).__name__}: {error}"
                    job = self._jobs.pop(index, None)
                    if job is not None:
                        job.attempt.abandon("dropped_failed")
                    self._changed.wait(RESTART_DELAY_S)

    def _work_until_closed(self, index: int) -> None:
        while True:
            with self._changed:
                job = self._wait_for_job(index)
                if job is None:
                    return
                self._jobs[index] = job
            job.run()
            with self._changed:
                if job.attempt.is_abandoned:
                    return
                del self._jobs[index]
                if job.cameras:
                    self._processed += 1
                    self._ages_s.append(job.attempt.age_s)
                self._changed.notify_all()
            # Otherwise this variable would keep the frame's pixels alive until the next job.
            del job

    def _wait_for_job(self, index: int) -> _Job | None:
        while not self._is_closing:
            timeout_s = None
            if self._tasks:
                if index == 0 and not self._jobs:
                    return _Job(partial(_fulfil, *self._tasks.popleft()))
            elif all(job.cameras for job in self._jobs.values()):
                job, timeout_s = self._take_frames(index)
                if job is not None:
                    return job
            self._changed.wait(
                LONGEST_WAIT_S if timeout_s is None else min(timeout_s, LONGEST_WAIT_S)
            )
        return None

    def _take_frames(self, index: int) -> tuple[_Job | None, float | None]:
        """Return a job with the frames that are due, or the longest time to wait for one."""
        together, at_once = self._find_capacity()
        if index >= at_once:
            return None, None
        busy = [camera for job in self._jobs.values() for camera in job.cameras]
        now_s = self._clock()
        frames = self._mailbox.take_due(now_s, self._period_s, together, busy)
        if frames:
            taken = [(self._streams[pending.camera], pending) for pending in frames]
            attempt = Attempt(stream for stream, _ in taken)
            run = partial(process_frames, taken, self._segment, self._clock, attempt)
            return _Job(run, attempt), None
        due_s = self._mailbox.next_due_s(busy)
        return None, None if due_s is None else max(0.0, due_s - now_s)


def _fulfil(future: "Future[Any]", task: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = task()
    except BaseException as error:  # noqa: BLE001 - passed to the caller through the future
        future.set_exception(error)
    else:
        future.set_result(result)
