"""Asks a device by HTTP for something without an end: events of a camera, lines of a reader.

In: a driver and a target; out: the answer's headers and its body as it comes, chunked or not. A device that asks for
user and password is answered (drivers/http_auth.py). Called by drivers/json_events.py and drivers/camera_stream.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace

import h11

from drivers.base import DeviceError, Driver, ProtocolError
from drivers.http_auth import authorization
from drivers.links import Link, open_link
from drivers.urls import Address, parse_url

_ANSWER_S = 5.0
_MOST_HEAD_BYTES = 16_384
_HINTS = {
    401: "the device refuses username and password_file",
    403: "the device does not let this user read events",
    404: "the device knows no such path; is this the right device and firmware?",
}


class Answer:
    """An answer whose body comes for as long as one reads. Made by `asked`."""

    def __init__(self, url: str, link: Link) -> None:
        self._url = url
        self._link = link
        self._h11 = h11.Connection(h11.CLIENT, _MOST_HEAD_BYTES)
        self._time_ns = 0
        self.status = 0
        self.headers: list[tuple[str, str]] = []

    def all(self, name: str) -> list[str]:
        """What all headers of that name, in small letters, say."""
        return [value for key, value in self.headers if key == name]

    async def read(self) -> tuple[bytes, int]:
        """The next bytes of the body (never none) and when they came. Raises DeviceError where there are no more."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data), self._time_ns
            if isinstance(event, h11.EndOfMessage):
                raise DeviceError(f"{self._url}: the device ended its answer")

    async def ask(self, host: str, target: str, credentials: str | None) -> None:
        """Send the request and wait for the head of the answer."""
        headers = [("Host", host), ("Accept", "*/*"), ("User-Agent", "borderflow")]
        if credentials is not None:
            headers.append(("Authorization", credentials))
        request = h11.Request(method="GET", target=target, headers=headers)
        await self._link.write((self._h11.send(request) or b"") + (self._h11.send(h11.EndOfMessage()) or b""))
        while not isinstance(event := await self._next(), h11.Response):
            pass
        self.status = event.status_code
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]

    async def _next(self) -> h11.Event:
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                data, self._time_ns = await self._link.read()
                self._h11.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise ProtocolError("http_answer", f"no HTTP: {error}") from None
        if not isinstance(event, h11.Request | h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage):
            raise DeviceError(f"{self._url}: the device ended its answer")
        return event


@contextlib.asynccontextmanager
async def asked(driver: Driver, target: str, account: tuple[str, str], ca_file: str = "") -> AsyncIterator[Answer]:
    """GET `target` as `account` (user, password; both empty: nobody). Raises DeviceError where it is not given.

    Over TLS where the scheme says so. With `ca_file`, the device's own certificate or its authority's, names are not
    compared: a device has the name that the factory gave it.
    """
    address = parse_url(driver.url, driver.schemes, driver.serial, driver.port)
    tls = _tls(driver.url, ca_file) if address.scheme.startswith("https") else None
    credentials: str | None = None
    while True:
        async with _answer(driver, address, tls, target, credentials) as answer:
            if answer.status == 401 and credentials is None and account[0]:
                asks = answer.all("www-authenticate")
                cnonce = os.urandom(8).hex()
                credentials = authorization(asks, "GET", target, *account, cnonce=cnonce)
                if credentials is not None:
                    continue
                raise DeviceError(f"{driver.url}: the device asks for a kind of password that is not known here")
            if answer.status != 200:
                hint = _HINTS.get(answer.status, "see the device's own pages")
                raise DeviceError(f"{driver.url}: the device answers {answer.status}: {hint}")
            yield answer
            return


def _tls(url: str, ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        reason = error.strerror or "it holds no certificate"
        raise DeviceError(f"{url}: ca_file {ca_file} cannot be used ({reason}); give a PEM file") from None
    context.check_hostname = not ca_file
    return context


@contextlib.asynccontextmanager
async def _answer(
    driver: Driver, address: Address, tls: ssl.SSLContext | None, target: str, credentials: str | None
) -> AsyncIterator[Answer]:
    link = await open_link(replace(address, scheme="tcp"), clock=driver.clock, tap=driver.tap, tls=tls)
    try:
        answer = Answer(driver.url, link)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await answer.ask(f"{address.host}:{address.port}", target, credentials)
        except TimeoutError:
            raise DeviceError(f"{driver.url}: no answer within {_ANSWER_S:g} s; is this its HTTP port?") from None
        yield answer
    finally:
        await link.close()
