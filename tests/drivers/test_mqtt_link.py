"""What a broker may do to who subscribes: refuse, vanish, send what is no MQTT, too much, or too fast."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from driver_peers import tcp_peer

from drivers import mqtt_link
from drivers.base import DeviceError
from drivers.mqtt_link import Account, subscribed
from drivers.urls import Address

ACCOUNT = Account(client_id="lane-1", protocol=4)
WELCOME = bytes.fromhex("20 02 00 00")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def packet(reader: asyncio.StreamReader) -> bytes:
    """The body of a packet shorter than 128 bytes."""
    head = await reader.readexactly(2)
    return await reader.readexactly(head[1])


def broker(*answers: bytes) -> Talk:
    """Answers CONNECT, then SUBSCRIBE, and says the rest after that; "%mid" becomes the number of the subscription."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mid = b"\0\0"
        for number, answer in enumerate(answers):
            if number < 2:
                mid = (await packet(reader))[:2]
            writer.write(answer.replace(b"%mid", mid))
            await writer.drain()
        await reader.read()

    return talk


def publish(payload: bytes) -> bytes:
    return bytes((0x30, len(payload) + 3)) + b"\0\x01t" + payload


GRANTED = bytes.fromhex("90 03") + b"%mid\x01"


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ((bytes.fromhex("20 02 00 05"),), "refuses us"),
        ((WELCOME, bytes.fromhex("90 03") + b"%mid\x80"), "does not let us read"),
        ((WELCOME, GRANTED, bytes.fromhex("30 80 80 80 60 00 01 74")), "more than"),
        ((b"\x00\x00",), "ended"),
        ((WELCOME, GRANTED, b"\xff" * 20), "ended"),
    ],
)
async def test_a_broker_that_does_not_behave_is_named(answers: tuple[bytes, ...], text: str) -> None:
    async def listen(port: int) -> None:
        async with subscribed(Address("mqtt", "127.0.0.1", port), "t", ACCOUNT) as subscription:
            while True:
                await subscription.next()

    async with tcp_peer(broker(*answers)) as port:
        with pytest.raises(DeviceError, match=text):
            await asyncio.wait_for(listen(port), 10)


async def test_messages_without_acknowledgement_wait_in_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_link, "_NO_ROOM_S", 0.2)
    flood = b"".join(publish(b"%d" % number) for number in range(200))
    async with (
        tcp_peer(broker(WELCOME, GRANTED, flood)) as port,
        subscribed(Address("mqtt", "127.0.0.1", port), "t", ACCOUNT) as subscription,
    ):
        await asyncio.sleep(0.4)
        got: list[int] = []

        async def take_all() -> None:
            while True:
                got[len(got) :] = [int(message.payload) for message in await subscription.next()]

        with pytest.raises(DeviceError, match="faster than they can be stored"):
            await take_all()
    assert got == list(range(len(got)))
    assert mqtt_link.MOST_WAITING <= len(got) < 100


async def test_messages_come_as_fast_as_they_are_taken() -> None:
    flood = b"".join(publish(b"%d" % number) for number in range(200))
    async with (
        tcp_peer(broker(WELCOME, GRANTED, flood)) as port,
        subscribed(Address("mqtt", "127.0.0.1", port), "t", ACCOUNT) as subscription,
    ):
        got: list[int] = []
        while len(got) < 200:
            got += [int(message.payload) for message in await subscription.next()]
    assert got == list(range(200))
