"""A participant beside a session."""

import gc
from types import SimpleNamespace
from typing import Any

from rclpy.context import Context

from proxia_segmentation_ros.ros.client.rediscovery_session import RediscoverySession


class FreshSession:
    node = None
    is_closed = False

    def close(self):
        self.is_closed = True


def test_rediscovery_session_ends_with_its_session_when_its_owner_is_gone():
    context = Context()
    context.init()
    session: Any = SimpleNamespace(context=context, node=SimpleNamespace(get_name=lambda: "user"))
    fresh: Any = FreshSession()
    rediscovery = RediscoverySession(session, "probe", lambda name, domain_id: fresh)
    assert rediscovery.renew(lambda node: "client") == "client"
    del rediscovery
    gc.collect()
    assert not fresh.is_closed
    context.try_shutdown()
    assert fresh.is_closed
