"""The Fast DDS profile is read and gives large images room in shared memory."""

import os
import subprocess
import sys
from xml.etree import ElementTree

from workspace import ROOT

PROFILE = ROOT / "config" / "fastdds_profile.xml"
NAMESPACE = {"dds": "http://www.eprosima.com"}
LARGE_SEGMENT_BYTES = 32 * 1024 * 1024
# Prints the sizes of the shared-memory segments that a process with one node has mapped.
LIST_SEGMENTS = """
import os, pathlib, rclpy
rclpy.init()
node = rclpy.create_node("camera")
lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
for path in {line.split()[-1] for line in lines if "/dev/shm/fast" in line}:
    print(os.stat(path).st_size)
node.destroy_node()
rclpy.shutdown()
"""


def list_segment_sizes(env: dict[str, str]) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", LIST_SEGMENTS], env=env, check=True, capture_output=True, text=True
    )
    assert "Error" not in done.stderr
    return [int(line) for line in done.stdout.split()]


def test_profile_gives_a_process_a_large_segment(ros_domain: int) -> None:
    env = dict(os.environ) | {"FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILE)}
    assert max(list_segment_sizes(env)) >= LARGE_SEGMENT_BYTES


def test_segment_is_small_without_the_profile(ros_domain: int) -> None:
    env = {name: value for name, value in os.environ.items() if "DEFAULT_PROFILES" not in name}
    assert max(list_segment_sizes(env)) < LARGE_SEGMENT_BYTES


def test_profile_is_the_default_and_keeps_udp_for_other_machines() -> None:
    root = ElementTree.parse(PROFILE).getroot()
    participant = root.find(".//dds:participant", NAMESPACE)
    assert participant is not None
    assert participant.get("is_default_profile") == "true"
    types = [element.text for element in root.findall(".//dds:type", NAMESPACE)]
    assert types == ["SHM", "UDPv4"]
