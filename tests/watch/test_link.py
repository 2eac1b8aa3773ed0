"""A broker that goes away is known to the inbox of `watch`."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from bench import wait_for

from edge.commands.demo_broker import start_broker
from edge.delivery.endpoint import LinkError
from edge.watch.inbox import Inbox
from edge.watch.listen import subscribe


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


def test_a_broker_that_closes_before_it_answers_is_said_and_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def close_at_once() -> None:
            caller, _ = door.accept()
            caller.recv(1000)
            caller.close()

        threading.Thread(target=close_at_once, daemon=True).start()
        url = f"mqtt://127.0.0.1:{door.getsockname()[1]}"
        with pytest.raises(LinkError, match="certificate of yours"), subscribe(url, "#", lambda *_: None):
            raise AssertionError("there is no link")
