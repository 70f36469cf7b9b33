"""The command's tree, and how its errors end the process."""

import sys

import typer

from proxia_segmentation_ros.cli import benchmark, demo, evaluate, play, run, segment, train
from proxia_segmentation_ros.errors import ProxiaError

INTERRUPTED = 130

app = typer.Typer(
    name="proxia",
    help="Semantic segmentation of camera images for ROS 2 robots.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run", context_settings=run.CONTEXT_SETTINGS)(run.run)
app.command("play")(play.play)
app.command("segment")(segment.segment)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)
app.command("train")(train.train)
app.command("benchmark")(benchmark.benchmark)


def run_command() -> int:
    """Parse, run, and turn errors of the user's making into one sentence and an exit code."""
    try:
        app(prog_name="proxia")
    except ProxiaError as error:
        print(f"proxia: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
