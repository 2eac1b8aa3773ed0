"""A broker that goes away is known to the inbox of `watch`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench import wait_for

from edge.commands.demo_broker import start_broker
from edge.delivery.mqtt import subscribe
from edge.watch.inbox import Inbox


def test_a_broker_that_ends_is_a_link_that_is_gone(tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.linked(False)
    broker_stack, watching = ExitStack(), ExitStack()
    with watching, broker_stack:
        broker = broker_stack.enter_context(start_broker(tmp_path))
        watching.enter_context(subscribe(broker.url, "borderflow/v1/#", inbox.put, inbox.linked))
        wait_for("the link", lambda: inbox.lost_at_s is None, 10)
        broker_stack.close()
        wait_for("its loss", lambda: inbox.lost_at_s is not None, 10)
