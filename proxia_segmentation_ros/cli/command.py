"""The tree of `proxia` commands, and the exit codes of its errors."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from proxia_segmentation_ros.cli import (
    convert,
    demo,
    engines,
    evaluate,
    play,
    quantise,
    run,
    segment,
    train,
    weights,
)
from proxia_segmentation_ros.cli.benchmark import budget_trial
from proxia_segmentation_ros.cli.benchmark import command as benchmark
from proxia_segmentation_ros.cli.options import show_examples
from proxia_segmentation_ros.cli.streams import (
    explain_output_error,
    flush_output,
    open_closed_streams,
)
from proxia_segmentation_ros.errors import ConfigError, ProxiaError

INTERRUPTED = 130
ROS_MODULES = ("rclpy", "ament_index_python", "builtin_interfaces")
EXAMPLES = show_examples(
    "proxia demo",
    "proxia run --image-topic /camera/image_raw",
    "proxia segment photo.jpg -o results",
    "proxia COMMAND --help",
)

app = typer.Typer(
    name="proxia",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run", context_settings=run.CONTEXT_SETTINGS, epilog=run.EXAMPLES)(run.run)
app.command("play", epilog=play.EXAMPLES)(play.play)
app.command("segment", epilog=segment.EXAMPLES)(segment.segment)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("convert", epilog=convert.EXAMPLES)(convert.convert)
app.command("quantise", epilog=quantise.EXAMPLES)(quantise.quantise)
app.add_typer(weights.app, name="weights", epilog=weights.EXAMPLES)
app.add_typer(engines.app, name="engines", epilog=engines.EXAMPLES)
benchmark.app.command("budget")(budget_trial.budget)
app.add_typer(benchmark.app, name="benchmark")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from proxia_segmentation_ros.apps.version import find_version

        print(f"proxia {find_version()}")
        raise typer.Exit


@app.callback()
def proxia(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Semantic segmentation of camera images for ROS 2 robots."""


def run_command() -> int:
    """Parse and run; return the exit code, after one sentence for an error of the user's."""
    open_closed_streams()
    try:
        code = _run_app()
        flush_output()
    except OSError as error:
        explained = explain_output_error(error)
        if explained is None:
            raise
        return _tell(explained)
    return code


def _run_app() -> int:
    try:
        app(prog_name="proxia")
    except ProxiaError as error:
        return _tell(error)
    except ModuleNotFoundError as error:
        if not is_of_ros(error.name or ""):
            raise
        return _tell(
            ConfigError.from_parts(
                f"the Python module {error.name!r} is missing",
                "a sourced ROS 2 with this package's messages",
                "run `. build/env.sh` after `make setup`, or source your workspace",
            )
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def is_of_ros(module: str) -> bool:
    """Whether a module comes with ROS or with the built messages of this package."""
    root = module.partition(".")[0]
    is_ours = module.startswith("proxia_segmentation_ros.msg")
    return is_ours or root in ROS_MODULES or root.endswith("_msgs")


def _tell(error: ProxiaError) -> int:
    # The exit code counts where nobody can read the sentence.
    with suppress(OSError):
        print(f"proxia: {error}", file=sys.stderr, flush=True)
    return error.exit_code
