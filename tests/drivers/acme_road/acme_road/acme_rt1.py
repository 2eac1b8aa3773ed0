"""Acme RT-1 road sensor: pavement temperature and surface state, RS-232, 4800 8N1, a frame every second.

    A5 TT TT SS CC      TT  temperature, 0.1 °C, signed, most significant byte first
                        SS  surface: 0 dry, 1 wet, 2 ice       CC  sum of the four bytes before, modulo 256

Source: RT-1 manual, page 7. Unconfirmed on hardware: the value of "ice" (`ice_code`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import Driver, Emit, Options, Serial
from drivers.events import InputChange, Measurement, Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.links import connect

_START, _LENGTH = 0xA5, 5


class AcmeOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    offset_c: Annotated[float, Meta(ge=-5, le=5, description="added to what the sensor reads")] = 0.0
    ice_code: Annotated[int, Meta(ge=0, le=255, description="surface code that means ice (unconfirmed)")] = 2


class AcmeCodec(FrameCodec[Measurement | InputChange]):
    """Bytes to a temperature and the input `ice`."""

    def __init__(self, device: str, options: AcmeOptions) -> None:
        super().__init__(device)
        self._options = options

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Measurement | InputChange] | Skip | None:
        if buffer[0] != _START:
            return Skip(1, "no_start")
        if len(buffer) < _LENGTH:
            return None
        if sum(buffer[:4]) & 0xFF != buffer[4]:
            return Skip(1, "bad_sum")  # one byte only: the true frame may begin inside this one
        value_c = int.from_bytes(buffer[1:3], "big", signed=True) / 10.0 + self._options.offset_c
        temperature = Measurement(self.device, time_ns, "pavement", value_c, "_c")
        ice = InputChange(self.device, time_ns, "ice", buffer[3] == self._options.ice_code)
        return Frame(_LENGTH, (temperature, ice))


class AcmeRt1(Driver):
    Options: ClassVar[type[Options]] = AcmeOptions
    summary = "Acme RT-1 road sensor: pavement temperature and ice (serial)"
    schemes = ("serial", "tcp", "rfc2217")
    serial = Serial(baud=4800)
    options: AcmeOptions

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        codec = AcmeCodec(self.name, self.options)
        async with connect(self) as link:
            while True:
                data, time_ns = await link.read()
                for record in codec.feed(data, time_ns):
                    if not isinstance(record, Rejected):
                        alive()
                    emit(record)
