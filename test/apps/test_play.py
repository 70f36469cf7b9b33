import threading

import pytest
from rclpy.qos import QoSProfile
from sample_files import write_images, write_video
from sensor_msgs.msg import CompressedImage, Image

from proxia_segmentation_ros.apps.play import PlaySettings, play_source
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.ros.client.session import RosSession

TIMEOUT_S = 60.0


@pytest.fixture
def listen(ros_domain):
    """Return a function that subscribes and hands out the list of what comes, and a waiter."""
    with RosSession("test_user") as session:
        changed = threading.Condition()

        def subscribe(kind, topic):
            heard = []

            def hear(message):
                with changed:
                    heard.append(message)
                    changed.notify_all()

            session.node.create_subscription(kind, topic, hear, QoSProfile(depth=50))

            def wait_for(count):
                with changed:
                    return changed.wait_for(lambda: len(heard) >= count, TIMEOUT_S)

            return heard, wait_for

        yield subscribe


def test_video_is_played_as_raw_images(listen, tmp_path):
    film = write_video(tmp_path / "film.mp4", frames=4)
    heard, wait_for = listen(Image, "cam/image")
    said: list[str] = []
    settings = PlaySettings(
        source=str(film), image_topic="cam/image", wait_for="", rate_hz=100.0, frame_id="lens"
    )
    report = play_source(settings, said.append)
    assert report.published == 4
    assert wait_for(4)
    assert {(message.encoding, message.header.frame_id) for message in heard} == {("rgb8", "lens")}
    assert "cam/image" in said[0]
    assert "100 Hz" in said[1]


def test_folder_of_jpeg_is_played_compressed_in_a_loop(listen, tmp_path):
    folder = write_images(tmp_path / "images", ["1.jpg", "2.jpg"])
    heard, wait_for = listen(CompressedImage, "cam/image/compressed")
    settings = PlaySettings(
        source=str(folder),
        image_topic="cam/image",
        wait_for="",
        rate_hz=100.0,
        loop=True,
        max_frames=5,
    )
    assert play_source(settings, lambda _: None).published == 5
    assert wait_for(5)
    first = (folder / "1.jpg").read_bytes()
    assert [bytes(message.data) == first for message in heard] == [True, False, True, False, True]


def test_frame_that_breaks_in_mid_stream_is_left_out_and_counted(listen, tmp_path):
    folder = write_images(tmp_path / "images", ["1.bmp", "3.bmp"])
    (folder / "2.bmp").write_bytes(b"BM broken")
    heard, wait_for = listen(Image, "image")
    report = play_source(
        PlaySettings(source=str(folder), wait_for="", rate_hz=50.0), lambda _: None
    )
    assert wait_for(2)
    assert (report.published, report.skipped, len(heard)) == (2, 1, 2)


def test_source_of_damaged_frames_alone_is_refused(tmp_path):
    (tmp_path / "2.bmp").write_bytes(b"BM broken")
    with pytest.raises(InputError, match=r"no frame that can be played; 2\.bmp"):
        play_source(PlaySettings(source=str(tmp_path), wait_for=""), lambda _: None)


def test_wrong_transport_is_found_before_the_source_is_opened():
    with pytest.raises(ConfigError, match="theora"):
        play_source(PlaySettings(source="/no/such", transport="theora"), print)
