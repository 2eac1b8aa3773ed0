"""What the guard lets through, and what a hostile network gets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edge.web.guard import BODY_MAX, Guard
from edge.web.serve import Address, ListenError


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"got {len(await request.body())}")


APP = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])


def ask(app: Guard, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer."""
    said: list[dict[str, Any]] = []
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": method, "path": "/", "raw_path": b"/", "query_string": b"", "headers": raw,
        "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 9),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(app(scope, receive, send))
    return said[0]["status"], {name.decode(): value.decode() for name, value in said[0]["headers"]}


def test_a_reader_of_this_place_gets_the_page_and_no_script_of_others() -> None:
    for host in ("localhost:8080", "127.0.0.1", "[::1]:8080", "LANE-3:8080"):
        status, headers = ask(Guard(APP, hosts=["lane-3"]), host=host)
        assert status == 200
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "evil.example:127.0.0.1", "[::2]"])
def test_a_name_that_is_not_ours_is_refused(host: str) -> None:
    assert ask(Guard(APP), host=host)[0] == 421


def test_nothing_is_written_without_our_own_origin() -> None:
    reading, writing = Guard(APP), Guard(APP, writes=True)
    assert ask(reading, "POST", host="localhost", origin="http://localhost")[0] == 405
    assert ask(writing, "POST", host="localhost:8080", origin="http://localhost:8080")[0] == 200
    for origin in ("", "null", "http://evil.example", "http://localhost", "https://localhost:8080.evil.example"):
        assert ask(writing, "POST", host="localhost:8080", origin=origin)[0] == 403
    assert ask(writing, "DELETE", host="localhost", origin="http://evil.example")[0] == 403


def test_a_large_body_is_refused_whether_it_says_so_or_not() -> None:
    writing = Guard(APP, writes=True)
    own = {"host": "localhost", "origin": "http://localhost"}
    assert ask(writing, "POST", **own, content_length=str(BODY_MAX + 1))[0] == 413
    assert ask(writing, "POST", **own, content_length="-1")[0] == 413
    with pytest.raises(ClientDisconnect):
        ask(writing, "POST", body=b"x" * (BODY_MAX + 1), **own)


@pytest.mark.parametrize(
    ("text", "told"), [("8080", "127.0.0.1:8080"), ("[::1]:80", "[::1]:80"), ("lane-3:0", "lane-3:0")]
)
def test_addresses(text: str, told: str) -> None:
    assert str(Address.of(text)) == told


@pytest.mark.parametrize("text", ["", "x", "x:y", ":80", "1.2.3.4:99999"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ListenError, match="write 127"):
        Address.of(text)
