"""A configuration without its secrets: the text of a file in, a text for others out, and what was taken away.

Called by `bundle`. Keys and passwords stand in files that the configuration names, and these are never opened; but
people write them into URLs, into options of a driver that takes them, and into comments. So comments go, credentials of
URLs go, and so does the value of each key whose name speaks of a secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import tomlkit

GONE: Final = "[removed]"
_SECRET: Final = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "pass",
        "secret",
        "token",
        "pin",
        "credential",
        "credentials",
        "auth",
        "authorization",
        "key",
        "apikey",
        "community",
        "user",
        "username",
    ]
)
_FILE = re.compile(r"_(file|path)$", re.I)  # names of files are no secrets
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(?i)(?<=[?&])((?:pass\w*|token|key|secret|auth\w*|sig\w*)=)[^&#\s]+")
_SHORTEST = 4  # a shorter secret would be found in every text


def redacted(text: str) -> tuple[str, set[str]]:
    """The configuration as TOML without comments and secrets, and the secrets; ValueError where it is no TOML."""
    taken: set[str] = set()
    return tomlkit.dumps(_without(tomllib.loads(text), "", taken)), taken


def scrubbed(text: str, secrets: set[str]) -> str:
    """Another text, such as a log, in which none of the secrets stands, and no credential of any URL."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, GONE)
    return _QUERY.sub(rf"\1{GONE}", _USERINFO.sub(f"{GONE}@", text))


def _without(value: Any, name: str, taken: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, key, taken) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, name, taken) for item in value]
    if (
        _SECRET.intersection(name.lower().replace("-", "_").split("_"))
        and not _FILE.search(name)
        and value not in ("", None)
        and not isinstance(value, bool)
    ):
        taken.update(secret for secret in (str(value),) if len(secret) >= _SHORTEST)
        return GONE
    if isinstance(value, str):
        for part in _credentials(value):
            if len(part) >= _SHORTEST:
                taken.add(part)
        return _QUERY.sub(rf"\1{GONE}", _USERINFO.sub(f"{GONE}@", value))
    return value


def _credentials(text: str) -> Iterator[str]:
    for userinfo in _USERINFO.findall(text):
        yield userinfo.removesuffix("@")
        yield userinfo.removesuffix("@").partition(":")[2]
    for match in _QUERY.finditer(text):
        yield match[0].partition("=")[2]
