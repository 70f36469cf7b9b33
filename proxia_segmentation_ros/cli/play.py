"""`proxia play`: publish a source as a camera."""

from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import read_size


def play(
    source: Annotated[
        str,
        typer.Argument(help="synthetic[:SEED], a video, an image or folder, a bag, /dev/videoN."),
    ] = "synthetic",
    image_topic: Annotated[str, typer.Option(help="Topic to publish to.")] = "image",
    transport: Annotated[
        str, typer.Option(help="raw or compressed; by default as the source has it.")
    ] = "",
    rate: Annotated[
        float | None,
        typer.Option(help="Frames a second; by default the source's own.", min=0.01, max=1000),
    ] = None,
    size: Annotated[str, typer.Option(help="Stretch to WxH.", metavar="WxH")] = "",
    max_frames: Annotated[int, typer.Option(help="Stop after so many; 0 plays all.", min=0)] = 0,
    loop: Annotated[bool, typer.Option(help="Begin anew at the end.")] = False,
    frame_id: Annotated[str, typer.Option(help="Frame of the camera.")] = "camera_optical_frame",
    bag_topic: Annotated[str, typer.Option(help="Image topic of the bag, if it has several.")] = "",
    wait_for: Annotated[
        str, typer.Option(help="Node that must be active first; empty waits for a subscriber only.")
    ] = "/proxia",
    best_effort: Annotated[bool, typer.Option(help="Publish best effort, not reliable.")] = False,
    use_sim_time: Annotated[bool, typer.Option(help="Stamp by /clock.")] = False,
) -> None:
    """Publish a source as a camera with CameraInfo, once the node is ready for it."""
    from proxia_segmentation_ros.apps.play import PlaySettings, play_source

    settings = PlaySettings(
        source=source,
        image_topic=image_topic,
        transport=transport,
        rate_hz=rate,
        size_hw=read_size(size),
        max_frames=max_frames,
        loop=loop,
        frame_id=frame_id,
        bag_topic=bag_topic,
        wait_for=wait_for,
        reliable=not best_effort,
        use_sim_time=use_sim_time,
    )
    report = play_source(settings, print)
    print(f"played {report.published} frames, {report.late} of them late")
