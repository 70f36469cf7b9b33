"""Counted stacks of a process as one SVG: a flame graph for each thread, and around the model."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH_PX, MARGIN_PX, ROW_PX, FONT_PX = 1200, 8, 16, 11
# Of a monospaced font of that size.
LETTER_PX = 6.7
LEAST_PX = 1.0
LEAST_LETTERS = 3
MOST_ROWS = 12
# Threads with less of all samples have no flame graph.
LEAST_SHARE = 0.01
OURS, ROS, OTHER = "#8fbbe0", "#f2b880", "#d2d2d2"
PACKAGE = "proxia_segmentation_ros/"
ROS_FOLDERS = re.compile(r"rclpy/|\w+_(msgs|interfaces)/|proxia_segmentation_ros/msg/")
THREAD = re.compile(r"thread \(\w+\): (.*)")
# How a thread or a module starts tells nothing of what it does.
STARTS = re.compile(r"\((threading|runpy)\.py\)$|\(<frozen runpy>\)$")
# Told in numbers as well: some take less than their name has room in.
STAGES = {
    name: re.compile(rf"(^|\.){pattern} \({PACKAGE}")
    for name, pattern in (
        ("decode", "decode"),
        ("segment_many", "segment(_many)?"),
        ("publish", "publish"),
        ("summarize", "summarize"),
    )
}
MODEL_CALL = STAGES["segment_many"]
STYLE = (
    f"text{{font:{FONT_PX}px monospace;fill:#222}}.h{{font-weight:bold}}"
    "rect{stroke:#fff;stroke-width:.6}"
)


@dataclass(frozen=True)
class Stack:
    """Functions from the thread on, `name (file)`, and how often they were seen so."""

    thread: str
    frames: tuple[str, ...]
    count: int

    def is_in(self, function: re.Pattern[str]) -> bool:
        """Whether the thread is in such a function, or in what it calls."""
        return any(map(function.search, self.frames))


@dataclass
class Block:
    """A function where it was called from."""

    count: int = 0
    callees: dict[str, "Block"] = field(default_factory=dict)


def read_stacks(text: str) -> list[Stack]:
    """Read py-spy's raw format: `thread (1): name;function (file);... count` a line."""
    stacks = []
    for line in text.splitlines():
        names, _, count = line.rpartition(" ")
        thread, *frames = names.split(";")
        found = THREAD.fullmatch(thread)
        kept = tuple(one for one in frames if not STARTS.search(one))
        stacks.append(Stack(found[1] if found else thread, kept, int(count)))
    return stacks


def write_picture(path: Path, title: str, stacks: Sequence[Stack]) -> None:
    """Draw each thread, the busiest first; below one that calls the model, what is left of it."""
    parts, top_px = [], ROW_PX
    for header, some in list_panels(stacks):
        drawn, top_px = _draw_panel(header, some, top_px)
        parts += [*drawn, ""]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{top_px}" '
        f'viewBox="0 0 {WIDTH_PX} {top_px}"><title>{escape(title)}</title><style>{STYLE}</style>'
        '<rect width="100%" height="100%" fill="#fff"/>'
    )
    path.write_text("\n".join([head, *parts, "</svg>", ""]), encoding="utf-8")


def list_panels(stacks: Sequence[Stack]) -> Iterator[tuple[str, list[Stack]]]:
    """Yield the flame graphs of a picture, each with its header."""
    threads: dict[str, list[Stack]] = {}
    for stack in stacks:
        threads.setdefault(stack.thread, []).append(stack)
    for name, some in sorted(threads.items(), key=lambda one: -count_samples(one[1])):
        total = count_samples(some)
        least = LEAST_SHARE * count_samples(stacks)
        if total < least:
            continue
        around = [one for one in some if not one.is_in(MODEL_CALL)]
        stages = f"; {_list_stages(some)}" if len(around) < len(some) else ""
        yield f"thread {name}: {total} samples{stages}", some
        if stages and count_samples(around) >= least:
            share = _show_share(around, some)
            yield f"thread {name} around the model: {share} of {total} samples", around


def _list_stages(stacks: Sequence[Stack]) -> str:
    return ", ".join(
        f"{name} {_show_share([one for one in stacks if one.is_in(pattern)], stacks)}"
        for name, pattern in STAGES.items()
    )


def _show_share(some: Sequence[Stack], stacks: Sequence[Stack]) -> str:
    return f"{100 * count_samples(some) / count_samples(stacks):.1f} %"


def count_samples(stacks: Sequence[Stack]) -> int:
    """Return how many samples the stacks stand for."""
    return sum(one.count for one in stacks)


def _draw_panel(header: str, stacks: Sequence[Stack], top_px: int) -> tuple[list[str], int]:
    """Return its elements, and where the next panel begins."""
    root = Block()
    for stack in stacks:
        block = root
        block.count += stack.count
        for frame in stack.frames:
            block = block.callees.setdefault(frame, Block())
            block.count += stack.count
    scale = (WIDTH_PX - 2 * MARGIN_PX) / root.count
    parts = [f'<text class="h" x="{MARGIN_PX}" y="{top_px}">{escape(header)}</text>']
    first_px = bottom_px = top_px + ROW_PX // 2
    for name, block, depth, before in _walk(root, 0, 0):
        if scale * block.count < LEAST_PX or depth >= MOST_ROWS:
            continue
        row_px = first_px + depth * ROW_PX
        share = f"{block.count} samples, {100 * block.count / root.count:.1f} %"
        left_px = MARGIN_PX + scale * before
        parts.append(_draw_block(name, share, left_px, scale * block.count, row_px))
        bottom_px = max(bottom_px, row_px + ROW_PX)
    return parts, bottom_px + 2 * ROW_PX


def _walk(block: Block, depth: int, before: int) -> Iterator[tuple[str, Block, int, int]]:
    """Yield name, block, depth and the samples to its left, callers first."""
    for name, callee in sorted(block.callees.items()):
        yield name, callee, depth, before
        yield from _walk(callee, depth + 1, before)
        before += callee.count


def _draw_block(name: str, share: str, left_px: float, width_px: float, row_px: int) -> str:
    label = choose_label(name, int((width_px - 4) / LETTER_PX))
    text = f'<text x="{left_px + 2:.1f}" y="{row_px + 12}">{escape(label)}</text>' if label else ""
    return (
        f'<g><title>{escape(name)}: {share}</title><rect x="{left_px:.1f}" y="{row_px}" '
        f'width="{width_px:.1f}" height="{ROW_PX}" fill="{_choose_colour(name)}"/>{text}</g>'
    )


def choose_label(name: str, letters: int) -> str:
    """Return as much of a function's name as has room; the end of a dotted one comes first."""
    dotted = name.partition(" (")[0].replace("<locals>.", "")
    short = dotted.rpartition(".")[2]
    for label in (dotted, short):
        if len(label) <= letters:
            return label
    return f"{short[: letters - 1]}…" if letters > LEAST_LETTERS else ""


def _choose_colour(name: str) -> str:
    file = name.partition(" (")[2]
    if ROS_FOLDERS.match(file):
        return ROS
    return OURS if file.startswith(PACKAGE) else OTHER
