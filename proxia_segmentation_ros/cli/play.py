"""`proxia play`: publish a source as a camera."""

from typing import Annotated

import typer

from proxia_segmentation_ros.apps.defaults import (
    CAMERA_FRAME_ID,
    IMAGE_TOPIC,
    NODE_TO_WAIT_FOR,
    SOURCE,
)
from proxia_segmentation_ros.cli.options import ResizeTo, Source, read_size, show_examples
from proxia_segmentation_ros.cli.streams import print_line

EXAMPLES = show_examples(
    "proxia play",
    "proxia play drive.mp4 --image-topic /camera/image_raw --loop",
    "proxia play drive.mcap --bag-topic /front/image_raw --wait-for ''",
)

ImageTopic = Annotated[str, typer.Option(help="Topic to publish to.")]
Transport = Annotated[
    str, typer.Option(help="raw or compressed; by default the form of the source.")
]
Rate = Annotated[
    float | None,
    typer.Option(help="Frames per second; by default the source's.", min=0.01, max=1000),
]
MaxFrames = Annotated[int, typer.Option(help="Stop after this many frames; 0 plays all.", min=0)]
Loop = Annotated[bool, typer.Option(help="Start again at the end.")]
FrameId = Annotated[str, typer.Option(help="frame_id in the headers.")]
BagTopic = Annotated[str, typer.Option(help="Image topic of a bag that has several.")]
WaitFor = Annotated[
    str, typer.Option(help="Wait until this node is active; empty waits for a subscriber only.")
]
BestEffort = Annotated[bool, typer.Option(help="Publish with best-effort reliability.")]
UseSimTime = Annotated[bool, typer.Option(help="Take stamps from /clock.")]


def play(
    source: Source = SOURCE,
    image_topic: ImageTopic = IMAGE_TOPIC,
    transport: Transport = "",
    rate: Rate = None,
    size: ResizeTo = "",
    max_frames: MaxFrames = 0,
    loop: Loop = False,
    frame_id: FrameId = CAMERA_FRAME_ID,
    bag_topic: BagTopic = "",
    wait_for: WaitFor = NODE_TO_WAIT_FOR,
    best_effort: BestEffort = False,
    use_sim_time: UseSimTime = False,
) -> None:
    """Publish a video, images, a bag or a camera as a ROS camera.

    Images come with a CameraInfo. Playing starts once the node is ready for them.
    """
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
    report = play_source(settings, print_line)
    skipped = f"; {report.skipped} damaged ones were left out" if report.skipped else ""
    print_line(f"played {report.published} frames, {report.late} of them late{skipped}")
