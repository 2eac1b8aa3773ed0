"""moxa_e1200: address map and changes, against a Modbus server that nobody here wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from driver_peers import free_port, running
from pyModbusTCP.server import DataBank, ModbusServer

from drivers import registry
from drivers.base import DeviceError
from drivers.events import DeviceState, InputChange, LinkState, Measurement
from drivers.inputs import InputWatch
from drivers.moxa_e1200 import MoxaE1200


class Moxa:
    def __init__(self) -> None:
        self.bank = DataBank(coils_size=0x300, d_inputs_size=0x300, h_regs_size=0x300, i_regs_size=0x700)
        self.port = free_port()
        self.server = ModbusServer("127.0.0.1", self.port, no_block=True, data_bank=self.bank)

    def driver(self, **options: Any) -> MoxaE1200:
        made = registry.create("moxa_e1200", "io", f"tcp://127.0.0.1:{self.port}", {"poll_hz": 100.0, **options})
        assert isinstance(made, MoxaE1200)
        return made


@pytest.fixture
def moxa() -> Iterator[Moxa]:
    device = Moxa()
    device.server.start()
    yield device
    device.server.stop()


async def test_inputs_and_counters(moxa: Moxa) -> None:
    moxa.bank.set_discrete_inputs(0, [True, False, True])
    moxa.bank.set_input_registers(0x10, [0, 7, 1, 2, 0, 0])
    async with running(moxa.driver(inputs=["entry", "", "door"], normally_closed=["door"])) as events:
        await events.until_count(InputChange, 2)
        first = [(e.name, e.on, e.count) for e in events.of(InputChange)]
        assert first == [("entry", True, 7), ("door", False, 0)]
        assert moxa.bank.get_coils(0x100, 4) == [True, True, True, False], "the counters were started"
        moxa.bank.set_input_registers(0x10, [0, 9])
        await events.until_count(InputChange, 3)
        moxa.bank.set_discrete_inputs(2, [False])
        await events.until_count(InputChange, 4)
    rest = [(e.name, e.on, e.count) for e in events.of(InputChange)[2:4]]
    assert rest == [("entry", True, 9), ("door", True, 0)]


async def test_relays(moxa: Moxa) -> None:
    made = moxa.driver(relays=["red", "green", "barrier"])
    with pytest.raises(DeviceError, match="not connected"):
        await made.set_relay("red", True)
    async with running(made) as events:
        await events.until_count(InputChange, 3)
        await made.set_relay("green", True)
        await events.until_count(InputChange, 4)
        assert events.of(InputChange)[3].name == "green"
        await made.pulse_relay("barrier")
        assert moxa.bank.get_coils(0x10, 3) == [False, False, True]
        with pytest.raises(ValueError, match="no relay 'blue'"):
            await made.set_relay("blue", True)


async def test_temperatures(moxa: Moxa) -> None:
    moxa.bank.set_input_registers(0x600, [0x00EB, 0xFFC7])
    async with running(moxa.driver(temperatures_c=["pavement", "cabinet"])) as events:
        await events.until_count(Measurement, 2)
    assert [(m.name, m.value, m.unit) for m in events.of(Measurement)[:2]] == [
        ("pavement", 23.5, "_c"),
        ("cabinet", -5.7, "_c"),
    ]


async def test_a_dead_device_comes_back(moxa: Moxa) -> None:
    async with running(moxa.driver(inputs=["entry"])) as events:
        await events.until_state(LinkState.ONLINE)
        await asyncio.to_thread(moxa.server.stop)
        await events.until_state(LinkState.DOWN)
        moxa.server = ModbusServer("127.0.0.1", moxa.port, no_block=True, data_bank=moxa.bank)
        moxa.server.start()
        await events.until_state(LinkState.ONLINE)


async def test_a_refusal_says_where(moxa: Moxa) -> None:
    moxa.server.stop()
    small = ModbusServer("127.0.0.1", moxa.port, no_block=True, data_bank=DataBank(coils_size=4))
    small.start()
    try:
        async with running(moxa.driver(inputs=["entry"])) as events:
            await events.until_state(LinkState.DOWN)
    finally:
        small.stop()
    text = events.of(DeviceState)[-1].text
    assert "illegal data address" in text
    assert "function 15, address 256" in text


async def test_a_module_without_counters_is_told_what_to_set(moxa: Moxa) -> None:
    moxa.bank = DataBank(coils_size=0x100, d_inputs_size=0x300, h_regs_size=0x300, i_regs_size=0x700)
    moxa.server.stop()
    moxa.server = ModbusServer("127.0.0.1", moxa.port, no_block=True, data_bank=moxa.bank)
    moxa.server.start()
    async with running(moxa.driver(inputs=["entry"])) as events:
        await events.until_state(LinkState.DOWN)
        assert "illegal data address: the module does not start the counters" in events.of(DeviceState)[-1].text
        assert "set counters = false" in events.of(DeviceState)[-1].text
    async with running(moxa.driver(inputs=["entry"], counters=False)) as events:
        await events.until_count(InputChange, 1)


def test_only_changes_are_told() -> None:
    watch = InputWatch("io", ("a", "b"))
    assert [c.name for c in watch.look([True, False], None, 1)] == ["a", "b"]
    assert watch.look([True, False], None, 2) == []
    assert [(c.name, c.on) for c in watch.look([True, True], None, 3)] == [("b", True)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "nothing to read"),
        ({"inputs": ["a", "a"]}, "twice"),
        ({"inputs": ["a"], "normally_closed": ["b"]}, "'b' is not among"),
        ({"inputs": ["a"], "poll_hz": 0.0}, "poll_hz"),
        ({"inputs": ["x"] * 17}, "inputs"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        registry.create("moxa_e1200", "io", "tcp://192.0.2.1", options)
