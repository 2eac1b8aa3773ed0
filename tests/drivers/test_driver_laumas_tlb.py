"""laumas_tlb: sign and unit, and the driver over RTU with the frames of the sheet and over TCP."""

from __future__ import annotations

import pytest
from driver_peers import free_port, pty, running
from hypothesis import given
from hypothesis import strategies as st
from pyModbusTCP.server import DataBank, ModbusServer

from drivers import registry
from drivers.base import DeviceError
from drivers.events import InputChange, Measurement, SampleBlock
from drivers.laumas_tlb import LaumasOptions, LaumasTlb, Weight, decimals_of, decode

NET = LaumasOptions(value="net")


def test_registers_of_the_sheet() -> None:
    registers = [0x0800, 0, 0x474A, 0, 0x474A, 0, 0x477C, 3]
    assert decode(registers, LaumasOptions()) == Weight(18250.0, True, False, False)


def test_the_sign_stands_in_the_status() -> None:
    registers = [0x0080, 0, 5, 0, 7, 0, 9, 6]
    assert decode(registers, LaumasOptions()).kg == -5.0
    assert decode(registers, NET).kg == 7.0
    assert decode([0x0100, *registers[1:]], NET).kg == -7.0


@pytest.mark.parametrize(
    ("scale", "kg"),
    [(0x0006, 18250.0), (0x0007, 1825.0), (0x000A, 182.5), (0x000D, 18.25), (0x020D, 18250.0), (0x0106, 18.25)],
)
def test_divisions_and_units(scale: int, kg: float) -> None:
    assert decode([0, 0, 18250, 0, 0, 0, 0, scale], LaumasOptions()).kg == pytest.approx(kg)


def test_decimals_of_the_table() -> None:
    assert [decimals_of(code) for code in range(19)] == [0] * 7 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3


def test_options_override_what_the_device_says() -> None:
    options = LaumasOptions(decimals=2, unit="lb")
    assert decode([0, 0, 10000, 0, 0, 0, 0, 0x0906], options).kg == pytest.approx(45.359237)
    with pytest.raises(DeviceError, match="unit code 9"):
        decode([0, 0, 10000, 0, 0, 0, 0, 0x0906], LaumasOptions())


@given(st.lists(st.integers(0, 65535), min_size=8, max_size=8))
def test_any_registers_are_a_weight_or_a_named_error(registers: list[int]) -> None:
    try:
        weight = decode(registers, LaumasOptions())
    except DeviceError:
        return
    assert abs(weight.kg) <= 2**32 * 1000


async def test_over_a_line() -> None:
    requests: list[bytes] = []

    def answer(data: bytes) -> bytes:
        requests.append(data)
        return bytes.fromhex("01031008000000474A0000474A0000477C0003580D")

    with pty() as line:
        line.on_data(answer)
        async with running(registry.create("laumas_tlb", "scale", line.path, {"poll_hz": 50.0})) as events:
            await events.until_count(SampleBlock, 3)
    assert requests[0] == bytes.fromhex("010300060008A40D")
    assert events.of(SampleBlock)[0].samples.tolist() == [[9125]]
    assert [(m.name, m.value, m.unit) for m in events.of(Measurement)] == [("gross", 18250.0, "_kg")]
    assert [(c.name, c.on) for c in events.of(InputChange)] == [
        ("stable", True), ("overload", False), ("fault", False),
    ]  # fmt: skip


async def test_commands_over_tcp() -> None:
    bank = DataBank(h_regs_size=64)
    port = free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    try:
        made = registry.create("laumas_tlb", "scale", f"tcp://127.0.0.1:{port}", {})
        assert isinstance(made, LaumasTlb)
        with pytest.raises(DeviceError, match="not connected"):
            await made.zero()
        async with running(made) as events:
            await events.until_count(SampleBlock, 1)
            await made.tare()
            assert bank.get_holding_registers(5, 1) == [7]
            await made.zero()
            assert bank.get_holding_registers(5, 1) == [8]
    finally:
        server.stop()
