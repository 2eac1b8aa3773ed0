"""HTTP authentication, Basic (RFC 7617) and Digest (RFC 7616), as devices ask for it and as they are asked for it.

`authorization` answers a device's challenge; `Guard` challenges devices that post. Of Digest: MD5 and SHA-256, with
qop `auth` or none (RFC 2069, older cameras). A nonce of ours is good for some minutes and may be used again in them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Callable
from urllib.request import parse_http_list

_REALM = "borderflow"
_NONCE_S = 600.0
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


def authorization(
    challenges: list[str], method: str, target: str, username: str, password: str, *, cnonce: str
) -> str | None:
    """What to answer to WWW-Authenticate headers: the strongest that is known; None where none is."""
    digests = []
    for challenge in challenges:
        scheme, _, rest = challenge.strip().partition(" ")
        if scheme.lower() == "digest":
            asked = _fields(rest)
            if asked.get("nonce") and asked.get("algorithm", "MD5").upper() in _HASHES:
                digests.append(asked)
    if digests:
        asked = max(digests, key=lambda one: one.get("algorithm", "MD5").upper() == "SHA-256")
        return _digest(asked, method, target, username, password, cnonce)
    if any(challenge.strip().lower().startswith("basic") for challenge in challenges):
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    return None


def _digest(asked: dict[str, str], method: str, target: str, username: str, password: str, cnonce: str) -> str:
    algorithm = asked.get("algorithm", "MD5").upper()
    realm, nonce = asked.get("realm", ""), asked["nonce"]
    qop = "auth" if "auth" in [word.strip() for word in asked.get("qop", "").split(",")] else ""
    response = _response(algorithm, (username, realm, password), method, target, nonce, qop, "00000001", cnonce)
    fields = [("username", username), ("realm", realm), ("nonce", nonce), ("uri", target), ("response", response)]
    if "opaque" in asked:
        fields.append(("opaque", asked["opaque"]))
    quoted = [f'{name}="{_escaped(value)}"' for name, value in fields]
    plain = [f"algorithm={algorithm}"] if "algorithm" in asked else []
    if qop:
        plain += ["qop=auth", "nc=00000001", f'cnonce="{cnonce}"']
    return "Digest " + ", ".join(quoted + plain)


def _response(
    algorithm: str, who: tuple[str, str, str], method: str, target: str, nonce: str, qop: str, nc: str, cnonce: str
) -> str:
    def hashed(text: str) -> str:
        return str(_HASHES[algorithm](text.encode(), usedforsecurity=False).hexdigest())

    between = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return hashed(f"{hashed(':'.join(who))}:{between}:{hashed(f'{method}:{target}')}")


def _fields(text: str) -> dict[str, str]:
    split = (pair.partition("=") for pair in parse_http_list(text))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in split}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class Guard:
    """Lets those post who know the password."""

    def __init__(self, username: str, password: str, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._who = (username, _REALM, password)
        self._now_s = now_s
        self._secret = os.urandom(16)

    def challenges(self) -> tuple[tuple[str, str], ...]:
        """Headers of an answer 401: Digest with MD5, which every camera knows, and Basic."""
        nonce = self._nonce(f"{self._now_s():.0f}")
        digest = f'Digest realm="{_REALM}", qop="auth", algorithm=MD5, nonce="{nonce}"'
        return (("WWW-Authenticate", digest), ("WWW-Authenticate", f'Basic realm="{_REALM}"'))

    def admits(self, method: str, target: str, header: str) -> bool:
        """Whether an Authorization header is that of the user."""
        scheme, _, rest = header.strip().partition(" ")
        if scheme.lower() == "basic":
            wanted = base64.b64encode(f"{self._who[0]}:{self._who[2]}".encode())
            return hmac.compare_digest(rest.strip().encode(), wanted)
        if scheme.lower() != "digest":
            return False
        said = _fields(rest)
        nonce, uri = said.get("nonce", ""), said.get("uri", "")
        if not self._is_ours(nonce) or uri.partition("?")[0] != target.partition("?")[0]:
            return False
        qop, nc, cnonce = said.get("qop", ""), said.get("nc", ""), said.get("cnonce", "")
        wanted_hash = _response("MD5", self._who, method, uri, nonce, qop, nc, cnonce)
        return hmac.compare_digest(said.get("response", "").encode(), wanted_hash.encode())

    def _nonce(self, made_s: str) -> str:
        return f"{made_s}-{hmac.new(self._secret, made_s.encode(), 'sha256').hexdigest()[:32]}"

    def _is_ours(self, nonce: str) -> bool:
        made_s = nonce.partition("-")[0]
        if not (made_s.isascii() and made_s.isdecimal() and len(made_s) < 16):
            return False
        is_ours = hmac.compare_digest(nonce.encode(), self._nonce(made_s).encode())
        return is_ours and 0 <= self._now_s() + 1 - int(made_s) < _NONCE_S
