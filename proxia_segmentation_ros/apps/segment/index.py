"""The page index.html, which shows the pictures of every image in a row."""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from proxia_segmentation_ros.apps.output_file import write_output
from proxia_segmentation_ros.apps.segment.layout import ATTENTION, PICTURES, Task

# Class ids and 16-bit images are for programs: they look black.
LEGIBLE = (*(kind for kind in PICTURES if kind not in ("labels", "confidence16")), ATTENTION)
NAME = "index.html"
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fafafa; }}
  h1 {{ font-size: 1.3rem; font-weight: 600; }}
  section {{ margin: 0 0 2rem; }}
  h2 {{ font-size: 1rem; font-weight: 600; margin: 0 0 .4rem; overflow-wrap: anywhere; }}
  div {{ display: flex; flex-wrap: wrap; gap: .8rem; }}
  figure {{ margin: 0; }}
  img {{ display: block; width: min(30rem, 90vw); border-radius: 3px; background: #ddd; }}
  figcaption {{ color: #666; }}
</style>
<h1>{title}</h1>
{rows}
</html>
"""


def write_index(out: Path, tasks: Sequence[Task]) -> None:
    """Write `index.html` with the pictures that exist, one row for each image.

    Raises:
        InputError: the page can't be written.
    """
    done = [task for task in tasks if task.is_done(out)]
    title = f"{len(done)} image{'' if len(done) == 1 else 's'}"
    page = PAGE.format(title=title, rows="\n".join(_draw_row(out, task) for task in done))
    write_output(out / NAME, page.encode())


def _draw_row(out: Path, task: Task) -> str:
    figures = [_draw_figure(os.path.relpath(task.file.path.absolute(), out.absolute()), "image")]
    for kind, paths in task.outputs.items():
        if kind in LEGIBLE:
            for path in paths:
                caption = path.stem[path.stem.rindex(f"_{kind}") + 1 :].replace("_", " ")
                figures.append(_draw_figure(path.as_posix(), caption))
    heading = html.escape(task.file.display_name)
    return f"<section><h2>{heading}</h2><div>{''.join(figures)}</div></section>"


def _draw_figure(path: str, caption: str) -> str:
    link = html.escape(quote(os.fsencode(path)))
    picture = f'<a href="{link}"><img loading="lazy" src="{link}" alt="{html.escape(caption)}"></a>'
    return f"<figure>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>"
