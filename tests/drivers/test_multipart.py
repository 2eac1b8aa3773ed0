"""Multipart: how it is cut does not matter, what cameras do to it is read, and what has no end stays small."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import multipart
from drivers.multipart import MultipartReader, Part, boundary_of

TEXT = b"Code=TrafficJunction;data={\n  1\n}"
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4 + b"\r\n--\r\n\xff\xd9"


def part(body: bytes = TEXT, kind: str = "text/plain", length: int | None = None, end: bytes = b"\r\n") -> bytes:
    lines = [b"--B", f"Content-Type: {kind}".encode()]
    if length is not None:
        lines.append(f"Content-Length: {length}".encode())
    return end.join([*lines, b"", b""]) + body + end


def feed(reader: MultipartReader, data: bytes, sizes: list[int]) -> list[Part]:
    out, start = [], 0
    for size in [*sizes, len(data) + 1]:
        out += reader.feed(data[start : start + size])
        start += size
    return out


@given(
    st.lists(st.sampled_from([(TEXT, "text/plain"), (JPEG, "image/jpeg"), (b"", "text/xml"), (JPEG, "text/plain")])),
    st.sampled_from([b"\r\n", b"\n"]),
    st.lists(st.integers(1, 90)),
)
def test_cutting_does_not_matter(bodies: list[tuple[bytes, str]], end: bytes, sizes: list[int]) -> None:
    data = b"preamble" + end + b"".join(part(body, kind, len(body), end) for body, kind in bodies) + b"--B--" + end
    got = feed(MultipartReader("B"), data, sizes)
    assert [one.body for one in got] == [body for body, kind in bodies if body != JPEG]
    assert not any(one.fault for one in got)


@pytest.mark.parametrize("length", [None, 0, 5, len(TEXT), 10_000])
def test_a_length_that_lies_costs_no_part(length: int | None) -> None:
    data = part(length=length) + part(b"next") + b"--B--\r\n"
    assert [one.body for one in MultipartReader("B").feed(data)] == [TEXT, b"next"]


@pytest.mark.parametrize("length", [None, 0, 5, len(TEXT)])
def test_a_part_is_seen_before_the_next_one_begins(length: int | None) -> None:
    reader = MultipartReader("B")
    assert reader.feed(part(length=length)) == []
    early = reader.pending()
    assert (early is None) == (length in (None, 0))
    assert early is None or early.body == TEXT[:length]
    assert reader.pending() is None
    late = reader.pending(quiet=True)
    assert late is not None
    if length != 5:
        assert late.body.strip() == TEXT
        reader.take()
        assert reader.pending(quiet=True) is None
        assert [one.body for one in reader.feed(part(b"next") + b"--B\r\n")] == [b"next"]
    else:
        assert [one.body for one in reader.feed(part(b"next") + b"--B\r\n")] == [TEXT, b"next"]


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/form-data; boundary=B", "B"),
        ('multipart/mixed; Boundary = "a b"; charset=x', "a b"),
        ("multipart/x-mixed-replace; boundary=--myboundary", "myboundary"),
        ("multipart/form-data; boundary=", None),
        ("application/json", None),
        ("multipart/form-data; boundary=" + "x" * 71, None),
    ],
)
def test_the_boundary_that_is_declared(kind: str, boundary: str | None) -> None:
    assert boundary_of(kind) == boundary


def test_dashes_within_a_line_and_longer_boundaries_are_no_delimiters() -> None:
    data = part(b"x --B\r\n--BB\r\n--B x\r\n") + b"--B--\r\n"
    assert [one.body for one in MultipartReader("B").feed(data)] == [b"x --B\r\n--BB\r\n--B x\r\n"]


def test_what_has_no_end_is_named_and_does_not_grow() -> None:
    reader = MultipartReader("B")
    assert reader.feed(part(b"")) == []
    for _ in range(40):
        assert reader.feed(b"{" * 100_000) == []
        assert len(reader._buffer) <= 2 * multipart.MOST_PART_BYTES
    assert [one.fault for one in reader.feed(b"\r\n" + part(b"ok") + b"--B\r\n")] == ["part_too_long", ""]
    assert reader.feed(b"x" * 100_000) == []
    assert [one.fault for one in reader.feed(b"\r\n" + part(b"ok") + b"--B--\r\n")] == ["part_head", ""]


@given(st.binary(max_size=4000), st.integers(0, 2**32))
def test_hostile_bytes_end_in_step(noise: bytes, seed: int) -> None:
    rng = random.Random(seed)
    broken = bytearray(part() + part(JPEG, "image/jpeg", len(JPEG)) + part(length=3))
    for _ in range(rng.randrange(8)):
        broken[rng.randrange(len(broken))] = rng.randrange(256)
    reader = MultipartReader("B")
    feed(reader, bytes(broken) + noise, [rng.randrange(1, 90) for _ in range(30)])
    reader.pending(quiet=True)
    got = reader.feed(b"\r\n" + part(b"one") + part(b"two") + b"--B\r\n")
    assert got[-1].body == b"two"
