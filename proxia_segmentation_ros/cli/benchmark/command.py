"""`proxia benchmark`: the model, the pipeline and the node, each against its baseline."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from proxia_segmentation_ros.cli.benchmark.files import print_json, write_json
from proxia_segmentation_ros.cli.benchmark.options import (
    DEFAULT_RATES_HZ,
    Flame,
    ImageCount,
    ImageSize,
    ImageSource,
    Out,
    OutToo,
    Peak,
    Plot,
    PrintJson,
    Rates,
    Rounds,
    Saturate,
    Seconds,
    make_images,
    make_rounds,
)
from proxia_segmentation_ros.cli.options import Backend, Precision, Set, Weights
from proxia_segmentation_ros.errors import ConfigError

if TYPE_CHECKING:
    from proxia_segmentation_ros.benchmark.local import RoundSettings
    from proxia_segmentation_ros.benchmark.soak import SoakSettings

DEFAULT_RATE_HZ = 5.0
REGRESSED = 1

app = typer.Typer(invoke_without_command=True)

VariantOption = typer.Option(
    help="What is measured: [model|pipeline|eager][,OPTION=VALUE]...", metavar="VARIANT"
)
AgainstOption = typer.Option(
    "--b", "--against", help="What it is compared with.", metavar="VARIANT"
)


@app.callback()
def benchmark(
    context: typer.Context,
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: ImageSize = "480x360",
    rates: Rates = None,
    rounds: Rounds = 5,
    seconds: Seconds = 3.0,
    out: Out = None,
    plot: Plot = None,
    as_json: PrintJson = False,
) -> None:
    """Measure rate and latency on this machine.

    By itself: frame in to labels out through DDS, against the bare model call.

    This is `node` at one rate; the commands below measure more.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    images = make_images(size, "synthetic", 8)
    chosen = make_rounds(images, rates or (DEFAULT_RATE_HZ,), False, rounds, seconds)
    parameters = _name_parameters(None, weights, backend, precision)
    _report(_run_node(parameters, chosen), out, plot, as_json)


@app.command("model")
def model(
    a: Annotated[str, VariantOption] = "model",
    b: Annotated[str, AgainstOption] = "",
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: ImageSize = "480x360",
    source: ImageSource = "synthetic",
    images: ImageCount = 8,
    rates: Rates = None,
    peak: Peak = True,
    rounds: Rounds = 5,
    seconds: Seconds = 2.0,
    out: Out = None,
    plot: Plot = None,
    as_json: PrintJson = False,
) -> None:
    """Measure the bare model, alone or in interleaved rounds with another variant.

    OPTION is an argument of Segmenter.from_weights or Segmenter.segment. `eager` is plain PyTorch
    in float32.
    """
    rates_hz = DEFAULT_RATES_HZ if rates is None else rates
    chosen = make_rounds(make_images(size, source, images), rates_hz, peak, rounds, seconds)
    defaults = {"weights": weights, "backend": backend, "precision": precision}
    _report(_run_variants("model", (a, b), defaults, chosen), out, plot, as_json)


@app.command("pipeline")
def pipeline(
    a: Annotated[str, VariantOption] = "pipeline",
    b: Annotated[str, AgainstOption] = "model",
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: ImageSize = "480x360",
    source: ImageSource = "synthetic",
    images: ImageCount = 8,
    rates: Rates = None,
    peak: Peak = True,
    rounds: Rounds = 5,
    seconds: Seconds = 2.0,
    out: Out = None,
    plot: Plot = None,
    as_json: PrintJson = False,
) -> None:
    """Measure the node's pipeline without DDS: message bytes in, label bytes and objects out."""
    rates_hz = DEFAULT_RATES_HZ if rates is None else rates
    chosen = make_rounds(make_images(size, source, images), rates_hz, peak, rounds, seconds)
    defaults = {"weights": weights, "backend": backend, "precision": precision}
    _report(_run_variants("pipeline", (a, b), defaults, chosen), out, plot, as_json)


@app.command("node")
def node(
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    assignments: Set = None,
    size: ImageSize = "480x360",
    source: ImageSource = "synthetic",
    images: ImageCount = 8,
    rates: Rates = None,
    peak: Peak = True,
    saturate: Saturate = 0.0,
    rounds: Rounds = 5,
    seconds: Seconds = 3.0,
    out: Out = None,
    plot: Plot = None,
    flame: Flame = None,
    as_json: PrintJson = False,
) -> None:
    """Measure the node over DDS against the bare model beside a baseline subscriber.

    --set takes parameters of the node.
    """
    rates_hz = DEFAULT_RATES_HZ if rates is None else rates
    chosen = make_rounds(make_images(size, source, images), rates_hz, peak, rounds, seconds)
    parameters = _name_parameters(assignments, weights, backend, precision)
    _report(_run_node(parameters, chosen, saturate, flame), out, plot, as_json)


@app.command("cameras")
def cameras(
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    assignments: Set = None,
    size: ImageSize = "480x360",
    source: ImageSource = "synthetic",
    images: ImageCount = 8,
    rates: Rates = None,
    peak: Peak = True,
    saturate: Saturate = 0.0,
    kill: Annotated[
        float,
        typer.Option(help="Also kill one while both publish at this rate; 0: no.", min=0, max=1000),
    ] = 0.0,
    rounds: Rounds = 5,
    seconds: Seconds = 3.0,
    out: Out = None,
    plot: Plot = None,
    as_json: PrintJson = False,
) -> None:
    """Measure two cameras on one node against two nodes, and against one camera alone."""
    from proxia_segmentation_ros.benchmark.cameras import (
        CamerasBenchmarkSettings,
        run_cameras_benchmark,
    )
    from proxia_segmentation_ros.cli.progress import show_progress

    chosen = make_rounds(make_images(size, source, images), rates or (), peak, rounds, seconds)
    settings = CamerasBenchmarkSettings(
        parameters=_name_parameters(assignments, weights, backend, precision),
        rounds=chosen,
        kill_rate_hz=kill,
        saturating_hz=saturate,
    )
    with show_progress() as progress:
        report = run_cameras_benchmark(settings, progress)
    _report(report, out, plot, as_json)


@app.command("soak")
def soak(
    of: Annotated[
        str, typer.Argument(help="node, or [model|pipeline|eager][,OPTION=VALUE]...")
    ] = "pipeline",
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    assignments: Set = None,
    size: ImageSize = "480x360",
    source: ImageSource = "synthetic",
    images: ImageCount = 8,
    frames: Annotated[int, typer.Option(help="Frames after the warm-up.", min=2)] = 20_000,
    warm_up: Annotated[int, typer.Option(help="Frames before memory counts.", min=1)] = 500,
    every: Annotated[int, typer.Option(help="Frames between readings.", min=2)] = 500,
    rate: Annotated[float, typer.Option(help="Camera's rate at a node.", min=0.1)] = 60.0,
    out: Out = None,
    plot: Plot = None,
    as_json: PrintJson = False,
) -> None:
    """Label many frames and tell how much memory grows; --set takes parameters of a node."""
    from proxia_segmentation_ros.benchmark.soak import SoakSettings

    settings = SoakSettings(
        frames=frames,
        warm_up=warm_up,
        every=every,
        rate_hz=rate,
        images=make_images(size, source, images),
    )
    defaults = {"weights": weights, "backend": backend, "precision": precision}
    _report(_run_soak(of, defaults, assignments, settings), out, plot, as_json)


@app.command("compare")
def compare(
    old: Annotated[Path, typer.Argument(help="JSON of an earlier benchmark.")],
    new: Annotated[Path, typer.Argument(help="JSON of the same benchmark now.")],
    allow: Annotated[str, typer.Option(help="How much worse a figure may become.")] = "5%",
) -> None:
    """Compare two reports; exit code 1 when a figure became worse than allowed."""
    from proxia_segmentation_ros.benchmark.compare import compare_reports, read_allowance
    from proxia_segmentation_ros.cli.benchmark.tables import print_comparison

    comparison = compare_reports(old, new, read_allowance(allow))
    print_comparison(comparison)
    if comparison.regressions:
        raise typer.Exit(REGRESSED)


@app.command("train")
def train(
    recipe: Annotated[
        str, typer.Argument(help="Shipped name or YAML file of a recipe.")
    ] = "synthetic",
    assignments: Set = None,
    rounds: Annotated[int, typer.Option(help="Interleaved rounds that count.", min=1)] = 5,
    steps: Annotated[int, typer.Option(help="Steps of a round.", min=1)] = 10,
    out: OutToo = None,
) -> None:
    """Compare our training step with plain float32 PyTorch, on the CPU."""
    from proxia_segmentation_ros.benchmark.training import (
        TrainingBenchmarkSettings,
        run_training_benchmark,
    )
    from proxia_segmentation_ros.cli.progress import show_progress
    from proxia_segmentation_ros.training.memory import keep_freed_memory

    keep_freed_memory()
    settings = TrainingBenchmarkSettings(
        recipe=recipe, overrides=tuple(assignments or ()), rounds=rounds, steps=steps
    )
    with show_progress() as progress:
        figures = run_training_benchmark(settings, progress)
    print_json(figures)
    write_json(figures, out)


def _run_variants(
    kind: Literal["model", "pipeline"],
    texts: tuple[str, str],
    defaults: Mapping[str, Any],
    settings: "RoundSettings",
) -> dict[str, Any]:
    from proxia_segmentation_ros.benchmark.local import run_local_benchmark
    from proxia_segmentation_ros.benchmark.variant import parse_variant
    from proxia_segmentation_ros.cli.progress import show_progress

    subject, *baseline = [
        parse_variant(text, kind=kind, defaults=defaults) for text in texts if text
    ]
    with show_progress() as progress:
        return run_local_benchmark(kind, subject, next(iter(baseline), None), settings, progress)


def _run_node(
    parameters: Mapping[str, Any],
    settings: "RoundSettings",
    saturating_hz: float = 0.0,
    flame: Path | None = None,
) -> dict[str, Any]:
    from proxia_segmentation_ros.benchmark.node import (
        NodeBenchmarkSettings,
        run_node_benchmark,
    )
    from proxia_segmentation_ros.cli.progress import show_progress

    chosen = NodeBenchmarkSettings(
        parameters=parameters, rounds=settings, saturating_hz=saturating_hz, flame=flame
    )
    with show_progress() as progress:
        return run_node_benchmark(chosen, progress)


def _run_soak(
    of: str,
    defaults: Mapping[str, Any],
    assignments: Sequence[str] | None,
    settings: "SoakSettings",
) -> dict[str, Any]:
    from proxia_segmentation_ros.benchmark.soak import soak_node, soak_variant
    from proxia_segmentation_ros.benchmark.variant import parse_variant
    from proxia_segmentation_ros.cli.progress import show_progress

    if assignments and of != "node":
        raise ConfigError.from_parts(
            f"--set is given for {of!r}", "it with `soak node` alone", f"write {of},OPTION=VALUE"
        )
    with show_progress() as progress:
        if of == "node":
            return soak_node(_name_parameters(assignments, **defaults), settings, progress)
        variant = parse_variant(of, kind="pipeline", defaults=defaults)
        return soak_variant(variant, settings, progress)


def _name_parameters(
    assignments: Sequence[str] | None, weights: str, backend: str, precision: str
) -> dict[str, Any]:
    """Return the node's parameters; those of --set win."""
    from proxia_segmentation_ros.ros.client.node_arguments import parse_assignments

    return {
        "model.weights": weights,
        "inference.backend": backend,
        "inference.precision": precision,
        **parse_assignments(assignments or ()),
    }


def _refuse_options(context: typer.Context, subcommand: str) -> None:
    """Raise ConfigError where options of this benchmark precede the name of another."""
    sources = {
        option: context.get_parameter_source(option.name or "") for option in context.command.params
    }
    given = [
        option.opts[0]
        for option, source in sources.items()
        if source and source.name == "COMMANDLINE"
    ]
    if given:
        raise ConfigError.from_parts(
            f"{given[0]} stands before {subcommand!r}, which would not see it",
            f"options of `proxia benchmark {subcommand}` after its name",
            "move or remove it",
        )


def _report(report: Mapping[str, Any], out: Path | None, plot: Path | None, as_json: bool) -> None:
    """Print a report as tables or JSON, and write the files that are asked for."""
    from proxia_segmentation_ros.cli.benchmark.tables import print_report

    if as_json:
        print_json(report)
    else:
        print_report(report)
    write_json(report, out)
    if plot is not None:
        from proxia_segmentation_ros.benchmark.plot import write_plot

        write_plot(report, plot)
