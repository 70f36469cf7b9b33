"""Replaces a model that fails or hangs, step by step, and goes back up when all is well.

The ladder: the next frames are tried as they come (a single failure means nothing); then the model
is loaded again; then other backends and precisions are taken, the nearest to the wanted one first;
then the process ends, for whatever supervises it to start anew. A model that hangs skips the first
step, and the third hang ends the process: each one has cost a thread that can't be freed.
"""

import importlib.util
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.inference.cpu_fallback import change_to_cpu
from proxia_segmentation_ros.inference.segmenter_factory import FrameSegmenter
from proxia_segmentation_ros.inference.swappable_segmenter import SwappableSegmenter
from proxia_segmentation_ros.pipeline.workers import FrameWorkers

logger = logging.getLogger(__name__)

FAILURES_BEFORE_RELOAD = 3
HANGS_BEFORE_EXIT = 3


class Rung(NamedTuple):
    """One step of the ladder: its name, and the settings of the model to load."""

    name: str
    settings: NodeSettings


@dataclass(frozen=True, kw_only=True)
class RecoveryTimes:
    """Waiting times in seconds; tests shorten them.

    `load_s` is the longest time for a model to load, `settle_s` how long a model must serve without
    failure before earlier failures are forgotten, `climb_s` the first wait before the wanted model
    is tried again, which doubles up to `longest_climb_s`. Hangs are forgotten after `forget_s`.
    """

    load_s: float = 60.0
    settle_s: float = 60.0
    climb_s: float = 120.0
    longest_climb_s: float = 3600.0
    forget_s: float = 1800.0


@dataclass(frozen=True, kw_only=True)
class RecoveryStatus:
    """`well`: the wanted model serves; `recovering`: none does; `lower`: another one does."""

    state: Literal["well", "recovering", "lower", "given up"] = "well"
    sentence: str = ""
    rung: str = "as configured"
    failures: int = 0
    hangs: int = 0


def list_rungs(settings: NodeSettings, backend: str, precision: str) -> list[Rung]:
    """Return the models to try when the one with this backend and precision fails."""
    rungs = [Rung("loaded again", settings)]
    base, names = settings, [backend]
    if backend == "tensorrt":
        base = change_to_cpu(settings)
        names = [base.inference.backend]
        rungs.append(Rung(f"{names[0]} on the CPU", base))
    names += [name for name in ("openvino", "torch") if name not in names]
    for name in names:
        if importlib.util.find_spec(name) is None or (name, "f32") == (backend, precision):
            continue
        changes = {"backend": name, "precision": "f32"}
        inference = base.inference.model_copy(update=changes)
        rungs.append(Rung(f"{name} f32", base.model_copy(update={"inference": inference})))
    return rungs


class _Event(NamedTuple):
    sentence: str
    is_hang: bool


class ModelRecovery:
    """Walks down the ladder in a thread of its own, while frames fail at once.

    `load` opens and warms up a model. `on_change` is called when the status changes, `give_up` when
    the ladder has ended; both from other threads.
    """

    def __init__(
        self,
        swappable: SwappableSegmenter,
        workers: FrameWorkers,
        settings: NodeSettings,
        load: Callable[[NodeSettings], FrameSegmenter],
        *,
        on_change: Callable[[], None],
        give_up: Callable[[str], None],
        times: RecoveryTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._swappable = swappable
        self._workers = workers
        self._settings = settings
        self._load = load
        self._on_change = on_change
        self._give_up = give_up
        self._times = times or RecoveryTimes()
        self._clock = clock
        self._rungs = list_rungs(settings, swappable.backend, swappable.precision)
        self._next_rung = 0
        self._in_a_row = 0
        self._healthy_since_s = clock()
        self._climb_wait_s = self._times.climb_s
        self._events: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        self._status = RecoveryStatus()
        # The name tells `process.is_model_busy` that native code may run here.
        self._thread = threading.Thread(target=self._run, name="model recovery", daemon=True)
        self._thread.start()

    @property
    def status(self) -> RecoveryStatus:
        """What serves, and why."""
        return self._status

    def note_result(self, error: BaseException | None) -> None:
        """Count a call of the model; the third failure in a row starts the recovery."""
        if error is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row >= FAILURES_BEFORE_RELOAD and not self._swappable.is_suspended:
            self._begin(f"the model failed {self._in_a_row} times in a row: {error}", False)

    def note_hang(self, sentence: str) -> None:
        """Start the recovery from a call that was abandoned."""
        self._begin(sentence, True)

    def close(self, timeout_s: float) -> bool:
        """Stop; return False if a model is still loading."""
        self._events.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _begin(self, sentence: str, is_hang: bool) -> None:
        # At once: no other frame shall go into this model.
        self._swappable.suspend(f"the model is being replaced, because {sentence}")
        self._set_status(state="recovering", sentence=sentence)
        self._events.put(_Event(sentence, is_hang))

    def _run(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=self._wait_s())
            except queue.Empty:
                self._look_up()
                continue
            if event is None:
                return
            self._recover(event)

    def _wait_s(self) -> float | None:
        """Return the time until there is something to do without an event."""
        if self._status.state != "lower" and not self._next_rung and not self._status.hangs:
            return None
        return min(self._times.settle_s, self._climb_wait_s)

    def _look_up(self) -> None:
        """Forget what is long ago, and try the wanted model again where another one serves."""
        healthy_s = self._clock() - self._healthy_since_s
        if self._status.state == "lower":
            if healthy_s >= self._climb_wait_s:
                self._climb()
        elif healthy_s >= self._times.settle_s:
            self._next_rung = 0
            if self._status.state == "well" and healthy_s >= self._times.forget_s:
                self._set_status(hangs=0)

    def _recover(self, event: _Event) -> None:
        logger.error("%s", event.sentence)
        hangs = self._status.hangs + event.is_hang
        self._set_status(hangs=hangs, failures=self._status.failures + 1)
        if hangs >= HANGS_BEFORE_EXIT:
            self._end(f"{event.sentence}; it is hang number {hangs}")
            return
        while self._next_rung < len(self._rungs):
            rung = self._rungs[self._next_rung]
            self._next_rung += 1
            if self._try(rung, event):
                return
        self._end(f"{event.sentence}; no other backend or precision is left to try")

    def _try(self, rung: Rung, event: _Event) -> bool:
        try:
            model = self._load_in_time(rung.settings)
            old = self._workers.run(partial(self._swappable.replace, model)).result(
                self._times.load_s
            )
        except BaseException as error:  # whatever a backend raises
            logger.exception("%s does not serve either", rung.name)
            self._set_status(sentence=f"{event.sentence}; {rung.name}: {error}")
            return False
        self._in_a_row = 0
        self._healthy_since_s = self._clock()
        is_same = rung.settings is self._settings
        self._set_status(
            state="well" if is_same else "lower",
            sentence="" if is_same else f"serving on {rung.name}, because {event.sentence}",
            rung=rung.name,
        )
        logger.warning("%s: the model serves again after: %s", rung.name, event.sentence)
        if not event.is_hang:
            _close(old)
        return True

    def _climb(self) -> None:
        """Load the wanted model beside the one that serves, and change to it."""
        try:
            model = self._load_in_time(self._settings)
            old = self._workers.run(partial(self._swappable.replace, model)).result(
                self._times.load_s
            )
        except BaseException as error:  # noqa: BLE001 - the model that serves goes on
            self._climb_wait_s = min(2 * self._climb_wait_s, self._times.longest_climb_s)
            logger.warning("the wanted model still fails: %s", error)
            self._healthy_since_s = self._clock()
            return
        # Its next failure goes down past the step that loads it again; a calm time resets that.
        self._next_rung = 1
        self._climb_wait_s = min(2 * self._climb_wait_s, self._times.longest_climb_s)
        self._healthy_since_s = self._clock()
        self._set_status(state="well", sentence="", rung="as configured")
        logger.warning("back to the wanted model")
        _close(old)

    def _load_in_time(self, settings: NodeSettings) -> FrameSegmenter:
        """Load in a thread of its own: native code may hang there too."""
        results: queue.SimpleQueue[FrameSegmenter | BaseException] = queue.SimpleQueue()

        def load() -> None:
            try:
                model = self._load(settings)
                if model.label_set.names != self._swappable.label_set.names:
                    raise ValueError("the weight file has other classes now")
            except BaseException as error:  # noqa: BLE001 - raised below
                results.put(error)
            else:
                results.put(model)

        threading.Thread(target=load, name="model loading", daemon=True).start()
        try:
            result = results.get(timeout=self._times.load_s)
        except queue.Empty:
            raise TimeoutError(f"not loaded within {self._times.load_s:g} s") from None
        if isinstance(result, BaseException):
            raise result
        return result

    def _end(self, sentence: str) -> None:
        self._set_status(state="given up", sentence=sentence)
        self._give_up(sentence)

    def _set_status(self, **changes: Any) -> None:
        values = {name: getattr(self._status, name) for name in self._status.__dataclass_fields__}
        self._status = RecoveryStatus(**{**values, **changes})
        self._on_change()


def _close(model: FrameSegmenter) -> None:
    try:
        model.close()
    except BaseException:
        logger.exception("the failed model can't be closed")
