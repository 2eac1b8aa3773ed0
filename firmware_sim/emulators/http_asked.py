"""What devices have in common that are asked by HTTP and answer without end: requests in, the head of an answer out.

A device that was given a user wants to be told his name and password, by Digest (`digest`) or Basic.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Send

LONGEST = 8192
REALM = "Login to camera"
NONCE = "4f3a1c5b9d"


class AskedByHttp(Emulator):
    """Answers GET `path` with `content_type` and then what `tell` is given, for as long as the host listens."""

    scheme = "http"
    path = "/"
    content_type = "text/plain"

    def __init__(self, *, username: str = "", password: str = "", digest: bool = True, chunked: bool = False) -> None:
        self._who = (username, password)
        self._digest = digest
        self._chunked = chunked
        self._heard: dict[int, bytearray] = {}
        self._listening: set[int] = set()

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        self._heard[peer] = bytearray()
        return []

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        self._heard.pop(peer, None)
        self._listening.discard(peer)

    def reboot(self, now_s: float) -> Output:
        self._heard.clear()
        self._listening.clear()
        return [Hangup(MAIN)]

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        heard = self._heard.get(peer)
        if heard is None or peer in self._listening:
            return []
        heard += data
        head, end, _ = bytes(heard).partition(b"\r\n\r\n")
        if not end:
            return self._refused(peer, "400 Bad Request") if len(heard) > LONGEST else []
        heard.clear()
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, _, rest = first.partition(" ")
        target = rest.partition(" ")[0]
        if self._who[0] and not self._knows(method, target, fields.get("authorization", "")):
            return self._refused(peer, "401 Unauthorized", self._challenge())
        if method != "GET" or target.partition("?")[0] != self.path:
            return self._refused(peer, "404 Not Found")
        self._listening.add(peer)
        return [
            Send(self._head("200 OK", {"Content-Type": self.content_type}), MAIN, peer),
            *self.greeting(now_s, peer),
        ]

    def greeting(self, now_s: float, peer: int) -> Output:
        """What the device says first to who began to listen."""
        return []

    def tell(self, data: bytes) -> Output:
        """Say something to all who listen."""
        shown = b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data
        return [Send(shown, MAIN, peer) for peer in sorted(self._listening)]

    def _head(self, status: str, fields: Mapping[str, str]) -> bytes:
        framing = {"Transfer-Encoding": "chunked"} if self._chunked else {"Connection": "close"}
        lines = [
            f"HTTP/1.1 {status}",
            *(f"{name}: {value}" for name, value in (framing | dict(fields)).items()),
            "",
            "",
        ]
        return "\r\n".join(lines).encode()

    def _refused(self, peer: int, status: str, fields: Mapping[str, str] | None = None) -> Output:
        self._heard[peer].clear()
        head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (fields or {}).items())
        return [Send(head.encode() + b"\r\n", MAIN, peer)]

    def _challenge(self) -> dict[str, str]:
        if self._digest:
            return {"WWW-Authenticate": f'Digest realm="{REALM}", qop="auth", nonce="{NONCE}", opaque="5ccc"'}
        return {"WWW-Authenticate": f'Basic realm="{REALM}"'}

    def _knows(self, method: str, target: str, header: str) -> bool:
        user, password = self._who
        if not self._digest:
            return header == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', header))
        one, two = _md5(f"{user}:{REALM}:{password}"), _md5(f"{method}:{said.get('uri', '')}")
        between = f"{NONCE}:{said.get('nc', '')}:{said.get('cnonce', '')}:auth"
        right = header.startswith("Digest ") and said.get("uri") == target
        return right and said.get("response") == _md5(f"{one}:{between}:{two}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
