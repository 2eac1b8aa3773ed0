"""HTTP of devices that push: how it is cut does not matter, oddities are mended, and what is too much is named."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import ProtocolError
from drivers.http_body import MOST_HELD_BYTES
from drivers.http_posts import Head, HttpPosts, Request

BODY = b'{"a": 1}\r\n\r\n'


def sized(body: bytes = BODY, fields: str = "", version: str = "1.1") -> bytes:
    return f"POST /p?q HTTP/{version}\r\nHost: h\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(body: bytes = BODY) -> bytes:
    head = b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in body) + b"0\r\nTrailer: 1\r\n\r\n"


def talk(data: bytes, sizes: list[int] | None = None) -> tuple[list[Request], bytes, HttpPosts]:
    """What is asked and answered on one connection when `data` comes in pieces."""
    posts, asked, answered, start = HttpPosts(), [], b"", 0
    for size in [*(sizes or []), len(data) + 1]:
        piece = data[start : start + size]
        start += size
        if not piece or posts.closes:
            break
        posts.feed(piece)
        while not posts.closes and (request := posts.next()) is not None:
            asked.append(request)
            answered += posts.answer(200)
    return asked, answered, posts


@given(st.lists(st.integers(1, 200)), st.lists(st.sampled_from([sized(), chunked(), b"\r\n" + sized()]), max_size=4))
def test_cutting_does_not_matter(sizes: list[int], requests: list[bytes]) -> None:
    asked, answered, posts = talk(b"".join(requests), sizes)
    assert [request.documents for request in asked] == [(BODY,)] * len(requests)
    assert answered.count(b"HTTP/1.1 200 OK\r\n") == len(requests)
    assert posts.idle
    assert not posts.closes


@pytest.mark.parametrize(
    ("data", "closes"),
    [
        (sized(), False),
        (sized(fields="Connection: keep-alive\r\n"), False),
        (sized(fields="Connection: close\r\n"), True),
        (sized(version="1.0"), True),
    ],
)
def test_who_says_that_it_closes_is_closed(data: bytes, closes: bool) -> None:
    asked, answered, posts = talk(data)
    assert (len(asked), posts.closes, b"connection: close" in answered.lower()) == (1, closes, closes)


@pytest.mark.parametrize(
    "head",
    [
        "POST /p HTTP/1.1\r\n",  # no Host
        "POST /p HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n",
        "POST /p HTTP/1.1\r\nHost: h\r\nno header at all\r\n",
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Type : text/xml\r\n",
        "POST /p HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n",
    ],
)
def test_a_head_that_is_odd_costs_no_plate(head: str) -> None:
    data = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    for sizes in ([], [1] * len(data)):
        (request,), _, _ = talk(data, sizes)
        assert (request.documents, request.odd) == ((BODY,), True)
    first, second = talk(data + sized())[0]
    assert (first.odd, second.odd) == (True, False)


@pytest.mark.parametrize("target", ["/p", "/p/", "//p", "/p?x=/q", "http://192.0.2.1:8080/p", "HTTP://h/p/?x"])
def test_a_path_in_every_spelling(target: str) -> None:
    (request,), _, _ = talk(sized().replace(b"/p?q", target.encode(), 1))
    assert (request.head.path, request.head.target) == ("/p", target)


@pytest.mark.parametrize(("target", "path"), [("/", "/"), ("/p/q", "/p/q"), ("/P", "/P"), ("*", "/*")])
def test_another_path_stays_another(target: str, path: str) -> None:
    assert Head("POST", target, {}).path == path


def test_a_head_with_bare_line_feeds_is_in_order() -> None:
    (request,), _, _ = talk(sized().replace(b"\r\n", b"\n", 3))
    assert (request.documents, request.odd) == ((BODY,), False)


def test_a_device_that_asks_before_it_sends_is_told_to() -> None:
    posts = HttpPosts()
    head, body = sized(fields="Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
    posts.feed(head + b"\r\n\r\n")
    assert posts.next() is None
    assert posts.wants_continue
    assert posts.go_on().startswith(b"HTTP/1.1 100 ")
    posts.feed(body)
    request = posts.next()
    assert request is not None
    assert request.documents == (body,)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n", "http_too_large"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", "http_head"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "http_head"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "http_body"),
        (b"x" * 20_000, "http_head"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "http_head"),  # TLS
    ],
)
def test_what_cannot_be_used_is_named_and_answered(data: bytes, reason: str) -> None:
    posts = HttpPosts()
    posts.feed(data)
    with pytest.raises(ProtocolError) as error:
        posts.next()
    assert error.value.reason == reason
    assert b"Connection: close" in posts.error_answer()
    assert posts.closes


def test_a_body_without_end_is_held_up_to_a_bound() -> None:
    posts = HttpPosts()
    posts.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(MOST_HELD_BYTES // 65_536):
        posts.feed(b"10000\r\n" + bytes(65_536) + b"\r\n")
        assert posts.next() is None
        assert posts.held_bytes <= MOST_HELD_BYTES
    posts.feed(b"1\r\nx\r\n")
    with pytest.raises(ProtocolError, match="larger"):
        posts.next()


@given(st.binary(max_size=3000), st.integers(0, 2**32))
def test_hostile_bytes_are_a_named_error(noise: bytes, seed: int) -> None:
    rng = random.Random(seed)
    broken = bytearray(sized() + chunked() + sized(fields="Connection: close\r\n"))
    for _ in range(rng.randrange(6)):
        broken[rng.randrange(len(broken))] = rng.randrange(256)
    for data in (noise, bytes(broken), sized() + noise):
        with contextlib.suppress(ProtocolError):
            talk(data, [rng.randrange(1, 60) for _ in range(20)])
