"""The input modules' drivers against a Modbus server of uModbus, which nobody here wrote."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from socketserver import TCPServer
from typing import Any

import pytest
from driver_peers import running
from umodbus.server.tcp import RequestHandler, get_server

from drivers import registry
from drivers.events import InputChange


class Module:
    """Bits and registers by address; what was written last wins."""

    def __init__(self) -> None:
        self.bits: dict[int, int] = {}
        self.registers: dict[int, int] = {}
        self.written: dict[int, int] = {}
        server = get_server(TCPServer, ("127.0.0.1", 0), RequestHandler)
        server.route(slave_ids=[1], function_codes=[1, 2], addresses=list(range(32)))(self._bit)
        server.route(slave_ids=[1], function_codes=[3, 4], addresses=list(range(64)))(self._register)
        server.route(slave_ids=[1], function_codes=[5, 15], addresses=list(range(0x110)))(self._write)
        self.server = server
        self.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _bit(self, slave_id: int, function_code: int, address: int) -> int:
        return self.bits.get(address, 0)

    def _register(self, slave_id: int, function_code: int, address: int) -> int:
        return self.registers.get(address, 0)

    def _write(self, slave_id: int, function_code: int, address: int, value: int) -> None:
        self.written[address] = value


@pytest.fixture
def module() -> Iterator[Module]:
    made = Module()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(
    ("driver", "counters", "words"),
    [("moxa_e1200", 0x10, (1, 2)), ("adam_6000", 0, (2, 1))],  # the most significant word first, and last
)
async def test_inputs_and_counters(module: Module, driver: str, counters: int, words: tuple[int, int]) -> None:
    module.bits = {0: 1, 1: 0}
    module.registers = {counters: words[0], counters + 1: words[1]}
    options: dict[str, Any] = {"inputs": ["entry", "exit"], "counters": True, "poll_hz": 50.0}
    made = registry.create(driver, "io", f"tcp://127.0.0.1:{module.port}", options)
    async with running(made) as events:
        await events.until_count(InputChange, 2)
        module.bits[1] = 1
        await events.until_count(InputChange, 3)
    told = [(change.name, change.on, change.count) for change in events.of(InputChange)[:3]]
    assert told == [("entry", True, 0x10002), ("exit", False, 0), ("exit", True, 0)]
    if driver == "moxa_e1200":
        assert {address: module.written[address] for address in (0x100, 0x101)} == {0x100: 1, 0x101: 1}
