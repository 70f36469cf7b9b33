"""A ROS domain of one's own on this machine, for demos and benchmarks."""

import os
import random
import socket
from collections.abc import Mapping

# Above these, the ports of a domain fall into Linux's range of ephemeral ports.
DOMAINS = range(1, 102)
DISCOVERY_PORT_BASE = 7400
PORTS_PER_DOMAIN = 250
# Where the first participant listens; without multicast there is no other sign of it.
FIRST_PARTICIPANT_OFFSET = 10


def isolate_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment with a free domain that does not leave this machine.

    A domain that the user has set stays.
    """
    isolated = dict(os.environ if env is None else env)
    if not isolated.get("ROS_DOMAIN_ID"):
        isolated["ROS_DOMAIN_ID"] = str(pick_free_domain())
        if isolated.get("ROS_DISTRO") == "humble":
            isolated["ROS_LOCALHOST_ONLY"] = "1"
        else:
            isolated["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return isolated


def pick_free_domain() -> int:
    """Return a random domain in which nobody on this machine listens."""
    candidates = random.sample(DOMAINS, len(DOMAINS))
    return next((domain for domain in candidates if is_free(domain)), candidates[0])


def is_free(domain_id: int) -> bool:
    """Whether no participant of this machine listens in the domain."""
    first_port = DISCOVERY_PORT_BASE + PORTS_PER_DOMAIN * domain_id
    return all(_can_bind(first_port + offset) for offset in (0, FIRST_PARTICIPANT_OFFSET))


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
