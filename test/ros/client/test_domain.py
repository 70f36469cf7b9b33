import socket

from proxia_segmentation_ros.ros.client.domain import DOMAINS, is_free, isolate_environment


def test_domain_that_the_user_set_stays():
    env = {"ROS_DOMAIN_ID": "42", "HOME": "/root"}
    assert isolate_environment(env) == env


def test_domain_is_made_up_and_kept_on_this_machine():
    env = isolate_environment({"HOME": "/root"})
    assert int(env["ROS_DOMAIN_ID"]) in DOMAINS
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert env["HOME"] == "/root"


def test_humble_hears_its_own_name_for_this_machine_alone():
    env = isolate_environment({"ROS_DISTRO": "humble"})
    assert env["ROS_LOCALHOST_ONLY"] == "1"


def test_domain_with_a_listener_is_not_free():
    free = next(domain for domain in reversed(DOMAINS) if is_free(domain))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 7400 + 250 * free))
        assert not is_free(free)
    assert is_free(free)
