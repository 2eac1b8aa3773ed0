"""Serves a page until it is told to stop: uvicorn, with bounds on connections, sizes and time. Called by commands."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MOST = 64
KEEP_ALIVE_S = 10
REQUEST_S = 10.0  # for a whole request to come: else a few that stop half-way hold all connections
HEAD_MAX = 16 * 1024


class ListenError(Exception):
    """The address cannot be used; the text names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @staticmethod
    def of(text: str) -> Address:
        """From `8080`, `127.0.0.1:8080`, `[::1]:8080` or `lane-3:8080`; ListenError says what does not fit."""
        host, _, port = text.rpartition(":") if ":" in text else ("127.0.0.1", "", text)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdigit() or int(port) > 65_535:
            raise ListenError(f"{text!r} is no address; write 127.0.0.1:8080 or [::1]:8080")
        return Address(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def bind(address: Address) -> socket.socket:
    """A listening socket; with port 0 the system chooses one. ListenError names what is in the way."""
    try:
        family, kind, number, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(CONNECTIONS_MOST)
    except OSError as error:
        raise ListenError(f"{address}: cannot listen there ({error.strerror}); give another --listen") from None
    return listener


class InTime(H11Protocol):
    """HTTP/1.1 whose requests have to be whole after `REQUEST_S`: uvicorn bounds the time between requests alone."""

    due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.due = self.loop.call_later(REQUEST_S, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole and self.due:
            self.due.cancel()
            self.due = None
        elif not whole and not self.due:
            self.due = self.loop.call_later(REQUEST_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.due:
            self.due.cancel()
        super().connection_lost(exc)


def settings(app: ASGIApp) -> uvicorn.Config:
    """The bounds that every page has."""
    return uvicorn.Config(
        app, http=InTime, ws="none", lifespan="off", log_level="warning", access_log=False, server_header=False,
        date_header=True, limit_concurrency=CONNECTIONS_MOST, timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=HEAD_MAX, timeout_graceful_shutdown=2,
    )  # fmt: skip


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Until SIGTERM or Ctrl-C. A client that is slow, or one too many, is let go; the others go on."""
    uvicorn.Server(settings(app)).run(sockets=[listener])
