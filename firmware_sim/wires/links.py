"""What an endpoint of an emulated device offers and what it calls; see `endpoints.py`."""

from __future__ import annotations

from typing import Any, Protocol

SERIAL_PORT = "main"


class Device(Protocol):
    """What an endpoint calls."""

    def connected(self, port: str, peer: int) -> None: ...

    def disconnected(self, port: str, peer: int) -> None: ...

    def received(self, port: str, peer: int, data: bytes) -> None: ...


class EndpointError(Exception):
    """A link cannot be opened; the text says which and why."""


class Endpoint(Protocol):
    """A link. `url` and `options` are what the configuration of the daemon needs; valid after `open`."""

    url: str
    options: dict[str, Any]

    async def open(self, device: Device) -> None: ...

    def write(self, port: str, peer: int | None, data: bytes) -> None: ...

    def hang_up(self, port: str, peer: int | None) -> None: ...

    def congested(self) -> frozenset[str]: ...

    async def unplug(self) -> None: ...

    async def plug(self) -> None: ...

    async def close(self) -> None: ...
