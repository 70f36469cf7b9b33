"""Segment image files and write pictures, labels, benchmark submissions or training labels."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxia_segmentation_ros.apps.output_file import write_output
from proxia_segmentation_ros.apps.segment.index import write_index
from proxia_segmentation_ros.apps.segment.labeller import Labeller
from proxia_segmentation_ros.apps.segment.layout import SUBMISSION, Task, plan_tasks
from proxia_segmentation_ros.apps.segment.outputs import SegmentedImage, encode_kind
from proxia_segmentation_ros.apps.segment.pictures import describe_share
from proxia_segmentation_ros.apps.segment.settings import (
    SegmentSettings,
    find_source_set,
    make_layout,
)
from proxia_segmentation_ros.apps.segment.truth import TruthMasks, find_wrong, list_assumed_ids
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.sources.image_files import (
    InputFile,
    list_inputs,
    read_image_file,
    silence_opencv,
)

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference import Scene

CLASSES_NAMED = 4
# The start of a file name by which the Cityscapes benchmark finds the image of a result.
BENCHMARK_NAME = re.compile(r"[a-z-]+_\d{6}_\d{6}")


@dataclass
class FileCounts:
    """The numbers of files: segmented now, complete before, failed, or no images."""

    labelled: int = 0
    complete: int = 0
    failed: int = 0
    other_files: int = 0
    written: int = 0


def segment_files(
    settings: SegmentSettings, say: Callable[[str], None], progress: Progress
) -> FileCounts:
    """Write the chosen kinds of output for each image; call `say` with a line for every file.

    Raises:
        InputError: the path does not exist, none of its files could be segmented, or an output
            can't be written.
        ConfigError: the settings don't fit the weights or each other.
        WeightsError: the weights can't be loaded.
    """
    files = list_inputs(settings.images, recursive=settings.recursive, without=settings.out)
    card = read_card(settings.weights_path)
    layout = make_layout(settings, card)
    source_set = find_source_set(settings, card)
    truth = TruthMasks(settings.masks, source_set) if settings.masks is not None else None
    if truth is not None:
        for note in list_assumed_ids(source_set):
            say(f"note: {note}")
    planned = plan_tasks([file for file in files if not file.skip_reason], layout)
    todo = [task for task in planned if not (settings.skip_existing and task.is_done(settings.out))]
    if SUBMISSION in settings.write:
        _warn_of_names(planned, say)
    counts = FileCounts(complete=len(planned) - len(todo))
    labeller = Labeller(settings, card.to_label_set(), source_set) if todo else None
    run = _SegmentRun(settings, {task.file.path: task for task in todo}, labeller, truth, counts)
    if todo:
        progress.begin("labelling", len(todo))
    try:
        with silence_opencv():
            for file in files:
                say(run.take(file))
                if file.path in run.tasks:
                    progress.advance()
    finally:
        if labeller is not None:
            labeller.close()
    _check_any(settings, counts)
    for note in truth.list_unknown_ids() if truth is not None else ():
        say(f"note: {note}")
    if settings.index:
        write_index(settings.out, planned)
        counts.written += 1
    return counts


@dataclass(frozen=True)
class _SegmentRun:
    """The state of a run; `tasks` are the images whose outputs have to be written."""

    settings: SegmentSettings
    tasks: dict[Path, Task]
    labeller: Labeller | None
    truth: TruthMasks | None
    counts: FileCounts

    def take(self, file: InputFile) -> str:
        """Process a file and return the line to print about it."""
        if file.skip_reason:
            self.counts.other_files += file.is_other_file
            self.counts.failed += not file.is_other_file
            verb = "skipped" if file.is_other_file else "failed"
            return f"{verb} {file.display_name}: {file.skip_reason}"
        if self.labeller is None or file.path not in self.tasks:
            return f"skipped {file.display_name}: its outputs exist"
        try:
            image_HWC = read_image_file(file.path, as_stored=self.truth is not None)
            truth_HW = self.truth.read(file, image_HWC) if self.truth is not None else None
            segmented, scene = self.labeller.label(image_HWC, truth_HW)
        except InputError as error:
            self.counts.failed += 1
            return f"failed {file.display_name}: {error}"
        self._write(self.tasks[file.path], segmented)
        return f"{file.display_name}: {describe_scene(scene)}{_describe_errors(segmented)}"

    def _write(self, task: Task, segmented: SegmentedImage) -> None:
        for kind, paths in task.outputs.items():
            for path, content in zip(paths, encode_kind(kind, segmented), strict=True):
                write_output(self.settings.out / path, content)
                self.counts.written += 1
        self.counts.labelled += 1


def describe_scene(scene: "Scene") -> str:
    """Return the largest classes with their shares of the image."""
    shares = [
        f"{summary.class_name} {100 * summary.area_fraction:.0f} %"
        for summary in scene.classes[:CLASSES_NAMED]
    ]
    return f"{scene.width}x{scene.height}, {', '.join(shares) or 'nothing known'}"


def _describe_errors(segmented: SegmentedImage) -> str:
    truth_HW = segmented.truth_HW
    if truth_HW is None:
        return ""
    unlabeled_id = segmented.label_set.unlabeled_id
    is_wrong_HW = find_wrong(segmented.labels_HW, truth_HW, unlabeled_id)
    return f"; {describe_share(is_wrong_HW, truth_HW != unlabeled_id)} wrong"


def _warn_of_names(tasks: Sequence[Task], say: Callable[[str], None]) -> None:
    names = [path.name for task in tasks for path in task.outputs[SUBMISSION]]
    others = [name for name in names if not BENCHMARK_NAME.match(name)]
    if others:
        say(
            f"note: {len(others)} of {len(names)} names, first {others[0]!r}, don't begin with "
            "CITY_000000_000000, by which the benchmark finds the results"
        )


def _check_any(settings: SegmentSettings, counts: FileCounts) -> None:
    """Raise if no image was segmented at all."""
    if counts.labelled or counts.complete:
        return
    if not counts.failed:
        raise InputError.from_parts(
            f"{str(settings.images)!r} holds no image",
            "JPEG, PNG or another format that OpenCV reads",
            "check the path, or add --recursive",
        )
    raise InputError.from_parts(
        f"none of the {counts.failed} images in {str(settings.images)!r} could be labelled",
        "whole images, with masks of their size where --truth is given",
        "see the line of each",
    )
