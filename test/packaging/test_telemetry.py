"""Nothing that the package imports or runs speaks to the network or writes outside its folders."""

import os
import subprocess
import sys
from pathlib import Path

LABEL_A_PICTURE = """
import socket, sys, time

asked = []

def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        asked.append((event, str(arguments)))
        raise OSError("no network in this test")
    if event in ("subprocess.Popen", "os.posix_spawn"):
        asked.append((event, str(arguments)))

sys.addaudithook(refuse)
try:
    socket.create_connection(("192.0.2.1", 9))
except OSError:
    pass
assert asked.pop(), "the hook does not work"

import numpy as np
from proxia_segmentation_ros.inference import Segmenter

segmenter = Segmenter.from_weights(sys.argv[1], backend="openvino")
print(segmenter.segment(np.zeros((96, 128, 3), np.uint8)).labels.shape)
segmenter.close()
time.sleep(0.5)  # statistics are sent by a thread
print("asked", asked)
print("telemetry", sorted(name for name, module in sys.modules.items()
                          if name.startswith("openvino_telemetry") and module is not None))
"""


def test_labelling_opens_no_connection_and_leaves_the_home_folder_alone(
    tiny_weights: Path, tmp_path: Path
) -> None:
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name.upper() != "CI"}
    env |= {"HOME": str(home), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", LABEL_A_PICTURE, str(tiny_weights)],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(96, 128)", "asked []", "telemetry []"]
    assert list(home.iterdir()) == []
