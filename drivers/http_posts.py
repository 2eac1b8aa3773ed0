"""HTTP as devices speak it when they push: bytes of one connection in, whole requests and the bytes of answers out.

h11 does HTTP/1.1 (chunked bodies, kept-alive connections, `Connection: close`, `Expect: 100-continue`, bare LF). This
file bounds what it holds, and mends heads that h11 refuses for something that no plate depends on. No I/O, no clock;
drivers/http_listener.py calls it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import h11

from drivers.base import ProtocolError
from drivers.http_body import MOST_BYTES, BodyReader
from drivers.urls import plain_path

MOST_HEAD_BYTES = 16_384
_LINE_END = re.compile(rb"\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    408: "Request Timeout",
    413: "Content Too Large",
    503: "Service Unavailable",
}
_AUTHORITY = re.compile(r"\Ahttps?://[^/?]*", re.IGNORECASE)
_ANSWERABLE = (h11.IDLE, h11.SEND_RESPONSE)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request: `target` as asked for, headers with small names."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The target without what stands after '?'; "//plates", "/plates/" and "http://host/plates" are "/plates"."""
        return plain_path(_AUTHORITY.sub("", self.target).partition("?")[0])


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request: the documents of its body, without pictures. `odd` says that its head had to be mended."""

    head: Head
    documents: tuple[bytes, ...] = field(repr=False)
    odd: bool = False

    @property
    def held_bytes(self) -> int:
        return sum(map(len, self.documents))


class HttpPosts:
    """One connection. After `feed`, take requests with `next` until it gives None; answer each before the next one.

    `feed` and `next` raise ProtocolError: the connection is of no more use, `error_answer` is what to send last.
    """

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, MOST_HEAD_BYTES)
        self._raw_head = bytearray()  # of the request under way, as long as h11 has not taken it
        self._body = BodyReader("")
        self._odd = False
        self.head: Head | None = None  # of the request under way

    @property
    def idle(self) -> bool:
        """Between two requests."""
        return self.head is None and not self._raw_head

    @property
    def held_bytes(self) -> int:
        return len(self._raw_head) + self._body.held_bytes

    @property
    def closes(self) -> bool:
        """The connection ends with the last answer."""
        return self._h11.our_state in (h11.MUST_CLOSE, h11.ERROR)

    @property
    def wants_continue(self) -> bool:
        """Whether the device waits to be told to send its body."""
        return self._h11.they_are_waiting_for_100_continue

    def feed(self, data: bytes) -> None:
        """Take bytes, never none of them."""
        if self.idle:
            data = data.lstrip(b"\r\n")  # which some devices send behind a body (RFC 9112, 2.2)
        if self.head is None:
            self._raw_head += data
        if data:
            self._h11.receive_data(data)

    def next(self) -> Request | None:
        """The next whole request; None asks for more bytes, or for an answer to the last one."""
        while True:
            event = self._event()
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._body.feed(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert self.head is not None
                body, self._body = self._body, BodyReader("")
                return Request(self.head, body.end(), self._odd)
            else:
                return None

    def go_on(self) -> bytes:
        """The answer to a device that waits before it sends its body."""
        return self._sent(h11.InformationalResponse(status_code=100, headers=[]))

    def answer(self, status: int, headers: tuple[tuple[str, str], ...] = (), *, close: bool = False) -> bytes:
        """The answer to the last request; what came behind it is next."""
        fields = [("Content-Length", "0"), *headers, *([("Connection", "close")] if close else [])]
        reason = _REASONS.get(status, "").encode()
        data = self._sent(h11.Response(status_code=status, reason=reason, headers=fields))
        data += self._sent(h11.EndOfMessage())
        self.head, self._odd = None, False
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            behind, _ = self._h11.trailing_data
            self._h11 = h11.Connection(h11.SERVER, MOST_HEAD_BYTES)
            self.feed(behind)
        return data

    def error_answer(self, status: int = 400) -> bytes:
        """The last bytes on a connection on which the device does not speak HTTP, or says too much."""
        return self.answer(status, close=True) if self._h11.our_state in _ANSWERABLE else b""

    def forget(self) -> None:
        """Let go of what is held: nothing more is read."""
        self._raw_head.clear()
        self._body = BodyReader("")

    def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            mended = None if self._odd or self.head is not None else _mended(self._raw_head)
            if mended is None:
                raise ProtocolError("http_head" if self.head is None else "http_body", str(error)) from None
            self._odd = True
            self._h11 = h11.Connection(h11.SERVER, MOST_HEAD_BYTES)
            self._h11.receive_data(mended)
            return self._event()

    def _begin(self, event: h11.Request) -> None:
        headers = {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in event.headers}
        self.head = Head(event.method.decode("latin-1"), event.target.decode("latin-1"), headers)
        self._raw_head.clear()
        self._body = BodyReader(headers.get("content-type", ""))
        length = headers.get("content-length", "0")
        if "transfer-encoding" not in headers and int(length[:12]) > MOST_BYTES:
            raise ProtocolError("http_too_large", "a body is larger than plates with pictures are")

    def _sent(self, event: h11.Event) -> bytes:
        return self._h11.send(event) or b""


def _mended(raw: bytearray) -> bytes | None:
    """A head with a Host, without lines that are no header; None where there is no whole head."""
    match = _HEAD_END.search(raw)
    if match is None:
        return None
    first, *lines = _LINE_END.split(bytes(raw[: match.start()]))
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name.strip()):
            fields[name.strip().lower()] = value.strip()
    fields.setdefault(b"host", b"-")
    if fields.get(b"transfer-encoding", b"").lower() == b"identity":
        del fields[b"transfer-encoding"]
    head = b"".join(b"%s: %s\r\n" % field for field in fields.items())
    return first + b"\r\n" + head + b"\r\n" + raw[match.end() :]
