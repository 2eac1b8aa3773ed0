"""Devices that publish what they read to a broker, by paho-mqtt; made by `endpoints.py`."""

from __future__ import annotations

import asyncio
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from firmware_sim.wires.links import SERIAL_PORT, Device, EndpointError


class MqttEndpoint:
    """A device that publishes each message to `topic` with QoS 1; what is said while it is unplugged is lost."""

    def __init__(self, host: str, port: int, topic: str) -> None:
        self.url = f"mqtt://{host}:{port}"
        self.options: dict[str, Any] = {"topic": topic}
        self._host, self._port, self._topic = host, port, topic
        self._client: Client | None = None

    async def open(self, device: Device) -> None:
        await self.plug()
        device.connected(SERIAL_PORT, 0)

    async def plug(self) -> None:
        client = Client(CallbackAPIVersion.VERSION2)
        try:
            await asyncio.to_thread(client.connect, self._host, self._port)
        except OSError as error:
            raise EndpointError(f"{self.url}: {error.strerror or error}") from error
        client.loop_start()
        self._client = client

    async def unplug(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def write(self, port: str, peer: int | None, data: bytes) -> None:
        if self._client is not None:
            self._client.publish(self._topic, data, qos=1)

    def hang_up(self, port: str, peer: int | None) -> None:
        """The broker is not the host."""

    def congested(self) -> frozenset[str]:
        return frozenset()

    async def close(self) -> None:
        await self.unplug()
