"""Laumas TLB, TLB4, W100 weight transmitters: a static or axle scale polled 10 to 50 times a second; 9600 8N1 at first.

Modbus RTU (TLB with Ethernet: Modbus TCP), functions 3 and 16 only, at most 32 registers, most significant first:

    6 status   7-8 gross   9-10 net   11-12 peak   13 division (low byte) and unit (high byte)      5 command (written)

Weights are magnitudes; the sign stands in the status: bit 7 gross, bit 8 net, bit 9 peak negative. They come with their
decimals but without the point; how many decimals there are follows from the division:

    code  0 100  1 50  2 20  3 10  4 5  5 2  6 1  7 0.5  8 0.2  9 0.1  10 0.05  11 0.02  12 0.01  13 0.005  14 0.002 ...

Status: 0 load cell, 1 converter, 2 over maximum, 3 above 110 %, 4 and 5 out of range, 11 stable, 12 near zero.

Sources: Laumas TLB4 protocol manual, LCB protocol manual. Unconfirmed on hardware: the coding of register 13 (override
it with `decimals` and `unit`); the commands (`tare_code`, `zero_code`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options
from drivers.events import Measurement
from drivers.inputs import InputWatch
from drivers.modbus import DEAF_S, ModbusPort, insist, open_port, u32
from drivers.weighstream import PollStream

_FIRST, _COUNT = 6, 8
_COMMAND = 5
_VALUE_AT = {"gross": (1, 7), "net": (3, 8)}  # first register after the status, bit of the sign
_UNITS_KG = {0: 1.0, 1: 0.001, 2: 1000.0, 3: 0.45359237}  # kg, g, t, lb
_UNIT_NAMES = {"kg": 0, "g": 1, "t": 2, "lb": 3}
_SLOW_NS = 1_000_000_000
_MOST_UNANSWERED = 3  # one reply that is lost is no reason to leave a vehicle that stands on the scale


class LaumasOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    poll_hz: Annotated[float, Meta(gt=0, le=50, description="how often the scale is read")] = 20.0
    value: Annotated[Literal["gross", "net"], Meta(description="which weight")] = "gross"
    per_count: Annotated[float, Meta(gt=0, description="kg in one count of the sample stream")] = 2.0
    unit_id: Annotated[int, Meta(ge=1, le=247, description="Modbus address")] = 1
    decimals: Annotated[int, Meta(ge=-1, le=6, description="decimals of the weight; -1: as the device says")] = -1
    unit: Annotated[
        Literal["auto", "kg", "g", "t", "lb"], Meta(description="unit of the weight; auto: as the device says")
    ] = "auto"
    tare_code: Annotated[int, Meta(ge=0, le=65535, description="command for tare (unconfirmed)")] = 7
    zero_code: Annotated[int, Meta(ge=0, le=65535, description="command for zero (unconfirmed)")] = 8


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight in kg, and whether it is stable, over the maximum, faulty."""

    kg: float
    stable: bool
    overload: bool
    fault: bool


def decode(registers: Sequence[int], options: LaumasOptions) -> Weight:
    """Registers 6 to 13 to a weight. Raises DeviceError where the unit is none that can become kg."""
    status, scale = registers[0], registers[7]
    first, sign_bit = _VALUE_AT[options.value]
    magnitude = u32(registers[first : first + 2])
    unit = scale >> 8 if options.unit == "auto" else _UNIT_NAMES[options.unit]
    if unit not in _UNITS_KG:
        raise DeviceError(f"the scale shows unit code {unit}, which is no weight; set `unit` in the options")
    decimals = options.decimals if options.decimals >= 0 else decimals_of(scale & 0xFF)
    kg = magnitude / 10.0**decimals * _UNITS_KG[unit]
    return Weight(
        kg=-kg if status >> sign_bit & 1 else kg,
        stable=bool(status & 1 << 11),
        overload=bool(status & 0b111100),
        fault=bool(status & 0b11),
    )


def decimals_of(division_code: int) -> int:
    """Decimals that go with a division: none down to 1, then one for each factor of ten."""
    return max(0, (division_code - 4) // 3)


class LaumasTlb(Driver):
    Options: ClassVar[type[Options]] = LaumasOptions
    summary = "Laumas TLB / TLB4 / W100 weight transmitters: static and axle scales (Modbus RTU or TCP)"
    schemes = ("serial", "tcp", "rtu+tcp", "rfc2217")
    reports = frozenset({"overload", "fault"})
    port = 502
    deaf_s = DEAF_S
    options: LaumasOptions

    _poll: PollStream | None = None
    _open_port: ModbusPort | None = None

    def offer(self) -> Offer:
        return Offer(
            channels=1,
            rate_hz=self.options.poll_hz,
            inputs=frozenset({"stable", "overload", "fault"}),
            temperatures=frozenset(),
            bus_unit=self.options.unit_id,
        )

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        stream = self._poll = self._poll or PollStream(self.name, options.per_count, options.poll_hz)
        inputs = InputWatch(self.name, ("stable", "overload", "fault"))
        loop = asyncio.get_running_loop()
        async with open_port(self, options.unit_id, alive=alive) as port:
            self._open_port = port
            try:
                stream.begin(self.clock())
                next_s = loop.time()
                shown_ns = 0
                while True:
                    registers = await insist(lambda: port.read_holding(_FIRST, _COUNT), _MOST_UNANSWERED)
                    time_ns = self.clock()
                    weight = decode(registers, options)
                    alive()
                    if (block := stream.block(weight.kg, time_ns)) is not None:
                        emit(block)
                    for change in inputs.look([weight.stable, weight.overload, weight.fault], None, time_ns):
                        emit(change)
                    if abs(time_ns - shown_ns) >= _SLOW_NS:
                        shown_ns = time_ns
                        emit(Measurement(self.name, time_ns, options.value, weight.kg, "_kg"))
                    next_s = max(next_s + 1.0 / options.poll_hz, loop.time())
                    await asyncio.sleep(next_s - loop.time())
            finally:
                self._open_port = None

    async def tare(self) -> None:
        """Take the present weight as tare. Raises DeviceError."""
        await self._command(self.options.tare_code)

    async def zero(self) -> None:
        """Set the empty scale to zero. Raises DeviceError."""
        await self._command(self.options.zero_code)

    async def _command(self, code: int) -> None:
        if self._open_port is None:
            raise DeviceError(f"{self.url}: not connected, so no command can be given")
        await self._open_port.write_registers(_COMMAND, [code])
