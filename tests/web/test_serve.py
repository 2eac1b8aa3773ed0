"""A page's server against clients that never finish what they ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edge.web import serve


async def answer(request: Request) -> PlainTextResponse:
    await request.body()
    return PlainTextResponse("whole")


@pytest_asyncio.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(serve, "REQUEST_S", 0.3)
    listener = serve.bind(serve.Address("127.0.0.1", 0))
    server = uvicorn.Server(serve.settings(Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    await running


async def said(port: int, *parts: bytes) -> bytes:
    """What the server says until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.05)
    try:
        return await asyncio.wait_for(reader.read(), 5.0)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: lane\r\n",
        b"POST / HTTP/1.1\r\nHost: lane\r\nContent-Length: 9\r\n\r\nabc",
    ],
)
async def test_a_request_that_never_ends_is_let_go(port: int, half: bytes) -> None:
    assert b"whole" not in await said(port, half)


async def test_the_rest_of_a_second_request_is_waited_for_no_longer(port: int) -> None:
    first = b"GET / HTTP/1.1\r\nHost: lane\r\n\r\n"
    assert (await said(port, first, b"GET / HT")).count(b"whole") == 1


async def test_a_request_in_pieces_is_answered(port: int) -> None:
    pieces = b"GET / HT", b"TP/1.1\r\nHost: lane\r\n", b"Connection: close\r\n\r\n"
    assert (await said(port, *pieces)).endswith(b"whole")
