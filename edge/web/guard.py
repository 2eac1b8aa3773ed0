"""The guard before a page: requests in, only those that a browser of this place would send go on. Pure ASGI.

A page listens on loopback, but someone will open it to a network, and any site in the browser of a reader may send
requests to it. So `Host` must be a name of ours (else another site's name could be pointed here), a request that
changes something needs our own `Origin`, and a body, a header or a slow client has a bound. Answers forbid scripts,
pictures and frames of others.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX = 16 * 1024
_READING = frozenset({"GET", "HEAD"})
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """See the head of this file. `hosts`: names under which the page is reached beside loopback; `writes`: whether
    anything but GET and HEAD is let through (with an own Origin) or refused at once."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = (), writes: bool = False) -> None:
        self._app, self._writes = app, writes
        self._hosts = frozenset((*_LOOPBACK, *(host.lower() for host in hosts)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await PlainTextResponse(refusal[1], refusal[0], headers=_HEADERS)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, _bounded(receive), with_headers)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Status and text for a request that goes no further."""
        host = headers.get("host", "")
        if host_name(host) not in self._hosts:
            return 421, "this page is not served under that name; start it with --host NAME\n"
        if method in _READING:
            return None
        if not self._writes:
            return 405, "this page is read-only\n"
        origin = headers.get("origin", "")
        if origin.partition("://")[2] != host:
            return 403, "this request does not come from this page\n"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_MAX:
            return 413, f"at most {BODY_MAX} bytes\n"
        return None


def host_name(host: str) -> str:
    """`lane-3` of `Lane-3:8080`, `::1` of `[::1]:8080`."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower().rstrip(".")


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return message if taken <= BODY_MAX else {"type": "http.disconnect"}

    return bounded
