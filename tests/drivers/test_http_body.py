"""Bodies of posts: whatever they are called, the documents come out, and pictures cost nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import http_body
from drivers.base import ProtocolError
from drivers.http_body import BodyReader, documents_of

XML = b"<EventNotificationAlert>\r\n</EventNotificationAlert>"
JSON = b'{"plate": "--B"}'
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20


def form(*parts: bytes, boundary: bytes = b"B", end: bytes = b"\r\n") -> bytes:
    head = b"Content-Disposition: form-data; name=x"
    return (
        b"".join(b"--" + boundary + end + head + 2 * end + part + end for part in parts)
        + b"--"
        + boundary
        + b"--"
        + end
    )


@pytest.mark.parametrize(
    ("kind", "body", "documents"),
    [
        ("application/json", JSON, [JSON]),
        ("", JSON, [JSON]),
        ("multipart/form-data; boundary=B", form(XML, PICTURE), [XML]),
        ("multipart/form-data; boundary=B", form(XML, PICTURE, JSON, end=b"\n"), [XML, JSON]),
        ("multipart/form-data; boundary=B", b"preamble\r\n" + form(JSON), [JSON]),
        ("multipart/form-data; boundary=B", form(JSON)[:-7], [JSON]),  # without an end
        ("multipart/form-data; boundary=B", form(JSON, boundary=b"other"), [JSON]),
        ("multipart/form-data; boundary=B", JSON, [JSON]),
        ("multipart/form-data", form(XML), [XML]),
        ("text/plain", form(XML), [XML]),
        ("application/x-www-form-urlencoded", b"json=%7B%22a%22%3A+1%7D&b=%2B", [b'{"a": 1}', b"+"]),
        ("application/x-www-form-urlencoded", JSON, [JSON]),
        ("application/json", b"", [b""]),
        ("multipart/form-data; boundary=B", b"", []),
        ("multipart/form-data; boundary=B", form(PICTURE), []),
    ],
)
def test_the_documents_of_a_body(kind: str, body: bytes, documents: list[bytes]) -> None:
    assert [document.strip() for document in documents_of(kind, body)] == documents
    reader = BodyReader(kind)
    for byte in body:
        reader.feed(bytes((byte,)))
    assert [document.strip() for document in reader.end()] == documents


def test_pictures_are_not_held() -> None:
    reader = BodyReader("multipart/form-data; boundary=B")
    reader.feed(form(JSON)[:-7] + b"--B\r\nContent-Type: image/jpeg\r\n\r\n" + PICTURE)
    for _ in range(300):
        reader.feed(bytes(65_536))
        assert reader.held_bytes < 70_000
    reader.feed(b"\r\n--B\r\n\r\n" + XML + b"\r\n--B--\r\n")
    assert reader.end() == (JSON, XML)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=B"])
def test_what_is_too_large_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "MOST_BYTES", 20 << 20)
    reader = BodyReader(kind)

    def fill() -> None:
        for _ in range(400):
            reader.feed(b"\r\n--B\r\n\r\n" + b"{" * 60_000)
            assert reader.held_bytes <= http_body.MOST_HELD_BYTES + 70_000

    with pytest.raises(ProtocolError, match="larger"):
        fill()


@given(
    st.binary(max_size=600), st.sampled_from(["", "multipart/form-data; boundary=B", "urlencoded"]), st.integers(1, 50)
)
def test_any_body_gives_documents_however_it_is_cut(body: bytes, kind: str, size: int) -> None:
    for data in (body, b"--B\r\n" + body, form(JSON)[:60] + body, form(body)):
        reader = BodyReader(kind)
        with contextlib.suppress(ProtocolError):
            for start in range(0, len(data), size):
                reader.feed(data[start : start + size])
            assert reader.end() == documents_of(kind, data)
