"""adam_6000: address map and word order, against a Modbus server that nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from driver_peers import free_port, running
from pyModbusTCP.server import DataBank, ModbusServer

from drivers import registry
from drivers.adam_6000 import Adam6000
from drivers.base import DeviceError
from drivers.events import InputChange


@pytest.fixture
def adam() -> Iterator[tuple[DataBank, int]]:
    bank = DataBank(coils_size=32, h_regs_size=64)
    port = free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    yield bank, port
    server.stop()


async def test_inputs_counters_and_outputs(adam: tuple[DataBank, int]) -> None:
    bank, port = adam
    bank.set_coils(0, [True, False])
    bank.set_coils(16, [False, True])
    bank.set_holding_registers(0, [2, 1, 5, 0])
    options: dict[str, Any] = {"inputs": ["entry", "exit"], "counters": True, "outputs": ["red", "green"]}
    made = registry.create("adam_6000", "io", f"tcp://127.0.0.1:{port}", options)
    assert isinstance(made, Adam6000)
    with pytest.raises(DeviceError, match="not connected"):
        await made.set_output("red", True)
    async with running(made) as events:
        await events.until_count(InputChange, 4)
        assert [(c.name, c.on, c.count) for c in events.of(InputChange)] == [
            ("entry", True, 65538), ("exit", False, 5), ("red", False, None), ("green", True, None),
        ]  # fmt: skip
        await made.set_output("red", True)
        assert bank.get_coils(16, 1) == [True]
        await events.until_count(InputChange, 5)
        with pytest.raises(ValueError, match="no output 'blue'"):
            await made.set_output("blue", True)


@pytest.mark.parametrize(
    ("options", "text"),
    [({}, "nothing to read"), ({"inputs": ["a"], "outputs": ["a"]}, "twice"), ({"inputs": ["a"], "poll_hz": 0}, "p")],
)
def test_wrong_options_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        registry.create("adam_6000", "io", "tcp://192.0.2.1", options)
