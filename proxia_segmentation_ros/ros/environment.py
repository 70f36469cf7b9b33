"""Sets the Fast DDS profile for processes that exchange images; call before rclpy.init."""

import os
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from proxia_segmentation_ros.ros.shared_memory import uses_fast_dds

PROFILE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
# Fast DDS 2 reads the older name; later ones warn of it.
LEGACY_PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
LEGACY_DISTROS = frozenset({"humble", "iron", "jazzy"})
PROFILE_NAME = Path("config", "fastdds_profile.xml")


def prepare_environment(environ: MutableMapping[str, str] | None = None) -> None:
    """Point Fast DDS to the packaged profile, which has a large shared-memory segment.

    A profile that the user has set, and any other middleware, is left alone.
    """
    target = os.environ if environ is None else environ
    if PROFILE_VARIABLE in target or LEGACY_PROFILE_VARIABLE in target:
        return
    if not uses_fast_dds(target):
        return
    profile = find_profile()
    if profile is None:
        return
    target[PROFILE_VARIABLE] = str(profile)
    if target.get("ROS_DISTRO") in LEGACY_DISTROS:
        target[LEGACY_PROFILE_VARIABLE] = str(profile)


def find_profile() -> Path | None:
    """Return the installed profile, else the checkout's, else None."""
    roots = [Path(__file__).resolve().parents[2]]
    # Not installed by colcon: only the checkout remains.
    with suppress(PackageNotFoundError):
        roots.insert(0, Path(get_package_share_directory("proxia_segmentation_ros")))
    return next((root / PROFILE_NAME for root in roots if (root / PROFILE_NAME).is_file()), None)
