"""The environment before ROS starts."""

from pathlib import Path

import pytest

from proxia_segmentation_ros.ros.environment import (
    LEGACY_PROFILE_VARIABLE,
    PROFILE_VARIABLE,
    find_profile,
    prepare_environment,
)


def test_profile_is_the_packaged_one_and_exists():
    environ: dict[str, str] = {}
    prepare_environment(environ)
    assert Path(environ[PROFILE_VARIABLE]).is_file()
    assert environ == {PROFILE_VARIABLE: str(find_profile())}


@pytest.mark.parametrize("distro", ["humble", "jazzy"])
def test_older_distributions_get_the_older_name_as_well(distro):
    environ = {"ROS_DISTRO": distro}
    prepare_environment(environ)
    assert environ[LEGACY_PROFILE_VARIABLE] == environ[PROFILE_VARIABLE]


@pytest.mark.parametrize("name", [PROFILE_VARIABLE, LEGACY_PROFILE_VARIABLE])
def test_profile_of_the_user_is_left_alone(name):
    environ = {name: "/mine.xml"}
    prepare_environment(environ)
    assert environ == {name: "/mine.xml"}


def test_other_middleware_is_left_alone():
    environ = {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}
    prepare_environment(environ)
    assert list(environ) == ["RMW_IMPLEMENTATION"]
