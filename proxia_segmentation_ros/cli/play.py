"""`proxia play`: publish a source as a camera."""

from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import Source, StretchSize, read_size

ImageTopic = Annotated[str, typer.Option(help="Topic to publish to.")]
Transport = Annotated[str, typer.Option(help="raw or compressed; by default as the source is.")]
Rate = Annotated[
    float | None, typer.Option(help="Frames a second; by default the source's.", min=0.01, max=1000)
]
MaxFrames = Annotated[int, typer.Option(help="Stop after so many; 0 plays all.", min=0)]
Loop = Annotated[bool, typer.Option(help="Begin anew at the end.")]
FrameId = Annotated[str, typer.Option(help="Frame of the camera.")]
BagTopic = Annotated[str, typer.Option(help="Image topic of the bag, if it has several.")]
WaitFor = Annotated[
    str, typer.Option(help="Node that must be active first; empty waits for a subscriber only.")
]
BestEffort = Annotated[bool, typer.Option(help="Publish best effort, not reliable.")]
UseSimTime = Annotated[bool, typer.Option(help="Stamp by /clock.")]


def play(
    source: Source = "synthetic",
    image_topic: ImageTopic = "image",
    transport: Transport = "",
    rate: Rate = None,
    size: StretchSize = "",
    max_frames: MaxFrames = 0,
    loop: Loop = False,
    frame_id: FrameId = "camera_optical_frame",
    bag_topic: BagTopic = "",
    wait_for: WaitFor = "/proxia",
    best_effort: BestEffort = False,
    use_sim_time: UseSimTime = False,
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
