"""Takes a device's URL apart, and says of a wrong one what is allowed. Drivers, links and the registry call it.

tcp://192.0.2.10:502
rtu+tcp://192.0.2.12:4001               Modbus RTU through a serial server in raw TCP mode
serial:///dev/serial/by-id/usb-FTDI_...?baud=115200&parity=even&stop=1&bits=8&flow=none
rfc2217://192.0.2.11:4001?baud=9600     &ign_set_control: take no notice of what the server says to flow control
/dev/pts/3                              a bare path is a serial line
http://0.0.0.0:8080/plates              where a driver listens, or where it asks a camera
https://192.0.2.21                      a camera that is asked, over TLS
http-stream://192.0.2.20/api/v1/data    lines of JSON that a reader sends for as long as one listens; https-stream://
mqtts://192.0.2.5:8883                  a broker that readers publish to
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

from drivers.base import Serial

_BAUD = range(50, 4_000_001)


class UrlError(ValueError):
    """A URL that no link can be opened with; the text names what is allowed."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed URL: `host` and `port` for all but serial, `path` for serial and http."""

    scheme: Literal[
        "serial", "tcp", "rtu+tcp", "rfc2217", "http", "http-stream", "https", "https-stream", "mqtt", "mqtts", "chrony"
    ]
    host: str = ""
    port: int = 0
    path: str = ""
    serial: Serial = field(default_factory=Serial)
    ign_set_control: bool = False  # of rfc2217: whatever the server says to flow control is well

    def __str__(self) -> str:
        return self.path if self.scheme == "serial" else f"{self.scheme}://{self.host}:{self.port}"


_EXAMPLES = {
    "serial": "serial:///dev/ttyS0?baud=9600",
    "tcp": "tcp://192.0.2.10:502",
    "rtu+tcp": "rtu+tcp://192.0.2.12:4001",
    "rfc2217": "rfc2217://192.0.2.11:4001?baud=9600",
    "http": "http://0.0.0.0:8080/plates",  # where a driver listens for devices that push
    "http-stream": "http-stream://192.0.2.20/api/v1/data/stream",
    "https": "https://192.0.2.21",
    "https-stream": "https-stream://192.0.2.20/api/v1/data/stream",
    "mqtt": "mqtt://192.0.2.5:1883",
    "mqtts": "mqtts://192.0.2.5:8883",
    "chrony": "chrony://localhost",
}
_USUAL_PORTS = {"http-stream": 80, "https": 443, "https-stream": 443, "mqtt": 1883, "mqtts": 8883}
_WITH_PATH = ("http", "http-stream", "https", "https-stream")
_DEVICE_LINKS = ("serial", "tcp", "rfc2217")


def parse_url(
    url: str, schemes: tuple[str, ...] = _DEVICE_LINKS, serial: Serial | None = None, port: int | None = None
) -> Address:
    """Take a device URL apart. `serial` and `port` are the device's defaults. Raises UrlError."""
    allowed = " or ".join(_EXAMPLES[scheme] for scheme in schemes if scheme in _EXAMPLES)
    try:
        parts = urlsplit(url)
        given_port = parts.port
    except ValueError as error:
        raise UrlError(f"{url!r}: {error}; write {allowed}") from None
    scheme = parts.scheme or ("serial" if url.startswith("/") else "")
    if scheme not in schemes or scheme not in _EXAMPLES:
        raise UrlError(f"{url!r}: this device takes {allowed}")
    if parts.username is not None or parts.password is not None:
        raise UrlError(f"a {scheme} URL holds no user and no password; the driver's options do; write {allowed}")
    defaults = serial or Serial()
    if scheme in ("tcp", "rtu+tcp", "chrony", *_WITH_PATH, "mqtt", "mqtts"):
        if parts.query:
            raise UrlError(f"{url!r}: a {scheme} URL takes nothing after '?'; write {allowed}")
    else:
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _is_ignored(scheme, pair)]
        defaults = _serial_settings(url, query, defaults)
    if scheme == "serial":
        if parts.netloc or len(parts.path) < 2:
            raise UrlError(f"{url!r}: the path of the line is missing; write {_EXAMPLES['serial']} (three slashes)")
        return Address("serial", path=parts.path, serial=defaults)
    if scheme == "chrony":
        return Address("chrony", host=parts.hostname or "localhost")
    if given_port is None and scheme != "rtu+tcp":  # a serial server has the port that somebody gave it
        given_port = _USUAL_PORTS.get(scheme, port)
    if not parts.hostname or not given_port or (scheme not in _WITH_PATH and parts.path not in ("", "/")):
        raise UrlError(f"{url!r}: a host and a port are needed and no path; write {_EXAMPLES[scheme]}")
    kind = cast(
        Literal["tcp", "rtu+tcp", "rfc2217", "http", "http-stream", "https", "https-stream", "mqtt", "mqtts"], scheme
    )
    if scheme in _WITH_PATH:
        path = plain_path(parts.path) if scheme == "http" else parts.path or "/"
        return Address(kind, host=parts.hostname, port=given_port, path=path)
    ignored = scheme == "rfc2217" and _IGNORED in parts.query
    return Address(kind, host=parts.hostname, port=given_port, serial=defaults, ign_set_control=ignored)


def plain_path(path: str) -> str:
    """The path at which this computer listens, without slashes that say nothing."""
    return "/" + "/".join(filter(None, path.split("/")))


_IGNORED = "ign_set_control"  # as pyserial spells it: a key without a value, or with one that says yes


def _is_ignored(scheme: str, pair: tuple[str, str]) -> bool:
    return scheme == "rfc2217" and pair[0] == _IGNORED and pair[1].lower() in ("", "1", "true", "yes")


_ALLOWED: dict[str, tuple[str, ...]] = {
    "bits": ("7", "8"),
    "parity": ("none", "even", "odd"),
    "stop": ("1", "2"),
    "flow": ("none", "xonxoff", "rtscts"),
}


def _serial_settings(url: str, query: list[tuple[str, str]], settings: Serial) -> Serial:
    for key, value in query:
        if key == "baud":
            if not value.isascii() or not value.isdecimal() or int(value[:9]) not in _BAUD:
                raise UrlError(f"{url!r}: baud={value} is no rate; write for example baud=9600")
            settings = replace(settings, baud=int(value))
        elif key == _IGNORED:
            raise UrlError(f"{url!r}: write {_IGNORED} alone, in an rfc2217 URL, or leave it out")
        elif key not in _ALLOWED:
            raise UrlError(f"{url!r}: there is no key {key!r}; the keys are baud, {', '.join(_ALLOWED)}")
        elif value not in _ALLOWED[key]:
            raise UrlError(f"{url!r}: {key}={value} is not one of {', '.join(_ALLOWED[key])}")
        elif value.isdecimal():
            settings = replace(settings, **cast(dict[str, Any], {key: int(value)}))
        else:
            settings = replace(settings, **cast(dict[str, Any], {key: value}))
    return settings
