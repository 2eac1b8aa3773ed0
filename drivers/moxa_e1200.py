"""Moxa ioLogik E1200 (E1210, E1212, E1213, E1214, E1260): loops, lamps, barrier, cabinet door, pavement temperature.

Modbus TCP, port 502, unit 1, default address map, 32-bit values most significant register first:

    FC 2   0000 + n   digital input n, 1 = on              FC 4   0010 + 2 n   its counter, two registers
    FC 1/5 0000 + n   relay n                              FC 5   0010 + n     pulse on relay n
    FC 15  0100 + n   counter n runs                       FC 4   0600 + n     temperature n of an E1260, 0.1 °C, signed

The counters catch pulses that come and go between two polls: `InputChange.count` steps then by more than one. So ten
polls a second are enough for what counts vehicles and tells waits, also on a serial line; the counters are read where
an input changed and four times a second. Speeds are not to be measured with polled inputs; a loop that times anything
belongs on the digitiser.

A loop detector is best wired normally closed, so that a cut cable reads as "occupied": list its name in
`normally_closed`, and its events say on when the contact is open.

Sources: E1200 user manual, appendix A. Unconfirmed on hardware: temperatures below 0 °C as two's complement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options
from drivers.events import InputChange, Measurement, Rejected
from drivers.inputs import InputWatch
from drivers.modbus import DEAF_S, ModbusPort, ModbusRefused, i16, open_port, u32
from drivers.pace import pause_s

_INPUTS, _COUNTERS, _COUNTERS_RUN = 0x0000, 0x0010, 0x0100
_RELAYS, _PULSES = 0x0000, 0x0010
_TEMPERATURES = 0x0600
_COUNTS_S = (
    0.24  # pulses between two polls are no vehicles, so the counters are read less often while inputs stand still
)
_SLOW_S = 1.0  # pavements and cabinets are slow


class MoxaOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    inputs: Annotated[
        tuple[str, ...], Meta(max_length=16, description="names of the inputs from DI0 on; an empty name is not used")
    ] = ()
    normally_closed: Annotated[tuple[str, ...], Meta(description="inputs whose open contact means on")] = ()
    counters: Annotated[bool, Meta(description="read the hardware counters of the inputs too")] = True
    relays: Annotated[
        tuple[str, ...], Meta(max_length=16, description="names of the relays from relay 0 on, read back as inputs")
    ] = ()
    temperatures_c: Annotated[
        tuple[str, ...], Meta(max_length=6, description="names of the inputs of an E1260 from 0 on; empty: not used")
    ] = ()
    poll_hz: Annotated[float, Meta(gt=0, le=100, description="how often the inputs are read")] = 10.0
    unit_id: Annotated[int, Meta(ge=0, le=255, description="Modbus unit")] = 1

    def __post_init__(self) -> None:
        if not (self.inputs or self.relays or self.temperatures_c):
            raise ValueError("inputs, relays, temperatures_c: all are empty, so there is nothing to read")
        named = [name for name in (*self.inputs, *self.relays, *self.temperatures_c) if name]
        if len(set(named)) < len(named):
            raise ValueError("inputs, relays, temperatures_c: a name is used twice")
        if unknown := set(self.normally_closed) - set(self.inputs):
            raise ValueError(f"normally_closed: {sorted(unknown)[0]!r} is not among the inputs")


class MoxaE1200(Driver):
    Options: ClassVar[type[Options]] = MoxaOptions
    summary = "Moxa ioLogik E1200 inputs and relays: loops, lamps, barrier, door, temperatures (Modbus TCP)"
    schemes = ("tcp", "rtu+tcp")
    port = 502
    deaf_s = DEAF_S
    options: MoxaOptions

    _open_port: ModbusPort | None = None
    _states: list[bool]
    _next_counts_s: float

    def offer(self) -> Offer:
        options = self.options
        return Offer(
            channels=0,
            inputs=frozenset(filter(None, (*options.inputs, *options.relays))),
            temperatures=frozenset(filter(None, options.temperatures_c)),
            bus_unit=options.unit_id,
        )

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        inputs = InputWatch(self.name, options.inputs, options.normally_closed)
        relays = InputWatch(self.name, options.relays)
        period_s = 1.0 / options.poll_hz if options.inputs or options.relays else _SLOW_S
        loop = asyncio.get_running_loop()
        async with open_port(self, options.unit_id, alive=alive) as port:
            if options.inputs and options.counters:
                await port.read_discrete(
                    _INPUTS, len(options.inputs)
                )  # waits for a module that wakes up: writing does not
                await self._start_counters(port)
            self._open_port = port
            try:
                next_slow_s = loop.time()
                self._states, self._next_counts_s = [], next_slow_s
                while True:
                    for change in (*await self._poll(port, inputs), *await self._readback(port, relays)):
                        emit(change)
                    if options.temperatures_c and loop.time() >= next_slow_s:
                        next_slow_s = loop.time() + _SLOW_S
                        for measurement in await self._temperatures(port):
                            emit(measurement)
                    alive()
                    await asyncio.sleep(pause_s(loop.time(), period_s))
            finally:
                self._open_port = None

    async def _start_counters(self, port: ModbusPort) -> None:
        try:
            await port.write_coils(_COUNTERS_RUN, [True] * len(self.options.inputs))
        except ModbusRefused as refused:
            raise DeviceError(
                f"{refused}: the module does not start the counters of these inputs; set counters = false, "
                "or see how many inputs it has"
            ) from None

    async def set_relay(self, relay: str, on: bool) -> None:
        """Switch a relay by its name. Raises DeviceError when the device does not answer, ValueError for the name."""
        await self._port().write_coil(_RELAYS + self._relay(relay), on)

    async def pulse_relay(self, relay: str) -> None:
        """Start the pulse that is set up for that relay in the device, for example to open a barrier."""
        await self._port().write_coil(_PULSES + self._relay(relay), True)

    def _port(self) -> ModbusPort:
        if self._open_port is None:
            raise DeviceError(f"{self.url}: not connected, so no relay can be switched")
        return self._open_port

    def _relay(self, name: str) -> int:
        if not name or name not in self.options.relays:
            raise ValueError(f"{self.name}: there is no relay {name!r}; there are {', '.join(self.options.relays)}")
        return self.options.relays.index(name)

    async def _poll(self, port: ModbusPort, inputs: InputWatch) -> list[InputChange | Rejected]:
        count = len(self.options.inputs)
        if not count:
            return []
        states = await port.read_discrete(_INPUTS, count)
        time_ns = self.clock()
        counts = None
        if self.options.counters:
            now_s = asyncio.get_running_loop().time()
            if states == self._states and now_s < self._next_counts_s:
                return []
            self._states, self._next_counts_s = states, now_s + _COUNTS_S
            registers = await port.read_input(_COUNTERS, 2 * count)
            counts = [u32(registers[2 * index :]) for index in range(count)]
        return inputs.look(states, counts, time_ns)

    async def _readback(self, port: ModbusPort, relays: InputWatch) -> list[InputChange | Rejected]:
        if not self.options.relays:
            return []
        states = await port.read_coils(_RELAYS, len(self.options.relays))
        return relays.look(states, None, self.clock())

    async def _temperatures(self, port: ModbusPort) -> list[Measurement]:
        names = self.options.temperatures_c
        registers = await port.read_input(_TEMPERATURES, len(names))
        time_ns = self.clock()
        return [
            Measurement(self.name, time_ns, name, i16(register) / 10.0, "_c")
            for name, register in zip(names, registers, strict=True)
            if name
        ]
