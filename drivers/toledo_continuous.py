"""Mettler-Toledo "continuous output": what most weighbridge indicators can send, 7 to 20 frames a second.

    02 SA SB SC  W W W W W W  T T T T T T  0D [CC]          W weight, T tare: six digits without a point

    SA  bits 0-2 decimals (000 x100, 001 x10, 010 none, 011 one, 100 two ..), bits 3-4 increment (1, 2, 5); bit 5 = 1
    SB  bit 0 net, 1 negative, 2 out of range, 3 moving, 4 kg (else lb), 6 zero not captured; bit 5 = 1
    SC  bit 3 print, bit 5 = 1
    CC  two's complement of the sum of the low seven bits of all before, from 02 to 0D

    02 2A 30 20 30 31 38 32 35 30 30 30 30 30 30 30 0D 27         18250 kg gross, standing still

The line is often set to 7 bits and even parity; give it in the URL (`?bits=7&parity=even`).

Sources: operator manuals of indicators that document the format (57c428 guide, Cardinal 225, Kern FTC). Unconfirmed on
hardware: SB bit 6. An indicator that sends no CC needs `checksum = false`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options
from drivers.events import Measurement, Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.inputs import InputWatch
from drivers.links import connect
from drivers.weighstream import PushStream

_STX, _CR = 0x02, 0x0D
_LENGTH = 17  # with CR, without CC
_FIXED_BITS = 0x20
_LB_KG = 0.45359237
_SLOW_NS = 1_000_000_000


class ToledoOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate_hz: Annotated[float, Meta(gt=0, le=100, description="frames a second that the indicator sends")] = 10.0
    per_count: Annotated[float, Meta(gt=0, description="kg in one count of the sample stream")] = 2.0
    checksum: Annotated[bool, Meta(description="the indicator sends a check character after CR")] = True


@dataclass(frozen=True, slots=True)
class Weight:
    """One frame. `kg` is gross, or net where `net` is set."""

    time_ns: int
    kg: float
    tare_kg: float
    net: bool
    moving: bool
    out_of_range: bool


class ToledoCodec(FrameCodec[Weight]):
    """Bytes to weights."""

    limit = 256

    def __init__(self, device: str, options: ToledoOptions) -> None:
        super().__init__(device)
        self._checksum = options.checksum

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Weight] | Skip | None:
        if buffer[0] & 0x7F != _STX:
            return Skip(1) if buffer[0] in b"\n\r" else Skip(1, "no_start")
        if len(buffer) < _LENGTH + self._checksum:
            return None
        plain = bytes(byte & 0x7F for byte in buffer[: _LENGTH + self._checksum])
        if plain[_LENGTH - 1] != _CR:
            return Skip(1, "no_end")
        if self._checksum and sum(plain) & 0x7F:
            return Skip(1, "bad_sum")
        return self._weight(plain, time_ns)

    @staticmethod
    def _weight(plain: bytes, time_ns: int) -> Frame[Weight] | Skip:
        a, b, c = plain[1:4]
        weight, tare = (plain[start : start + 6].lstrip(b" ") or b"0" for start in (4, 10))
        if not (a & b & c & _FIXED_BITS) or not weight.isdigit() or not tare.isdigit():
            return Skip(1, "bad_fields")
        unit_kg = (1.0 if b & 0x10 else _LB_KG) * 10.0 ** (2 - (a & 0b111))
        sign = -1.0 if b & 0x02 else 1.0
        return Frame(
            len(plain),
            (
                Weight(
                    time_ns=time_ns,
                    kg=sign * int(weight) * unit_kg,
                    tare_kg=int(tare) * unit_kg,
                    net=bool(b & 0x01),
                    moving=bool(b & 0x08),
                    out_of_range=bool(b & 0x04),
                ),
            ),
        )


class ToledoContinuous(Driver):
    Options: ClassVar[type[Options]] = ToledoOptions
    summary = "weighbridge indicators with Mettler-Toledo continuous output (serial)"
    schemes = ("serial", "tcp", "rfc2217")
    reports = frozenset({"overload"})
    options: ToledoOptions

    _push: PushStream | None = None

    def offer(self) -> Offer:
        return Offer(
            channels=1,
            rate_hz=self.options.rate_hz,
            inputs=frozenset({"stable", "overload"}),
            temperatures=frozenset(),
        )

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        stream = self._push = self._push or PushStream(self.name, options.per_count)
        inputs = InputWatch(self.name, ("stable", "overload"))
        codec = ToledoCodec(self.name, options)
        shown_ns = 0
        async with connect(self) as link:
            stream.begin(options.rate_hz)
            lost = 0
            while True:
                data, time_ns = await link.read()
                weights: list[Weight] = []
                for record in codec.feed(data, time_ns):
                    if isinstance(record, Rejected):
                        emit(record)
                        lost += 1  # as far as can be known
                    else:
                        weights.append(record)
                if not weights:
                    continue
                alive()
                gross_kg = [weight.kg + weight.tare_kg if weight.net else weight.kg for weight in weights]
                emit(stream.block(gross_kg, time_ns, lost))
                lost = 0
                for weight in weights:
                    for change in inputs.look([not weight.moving, weight.out_of_range], None, weight.time_ns):
                        emit(change)
                if abs(time_ns - shown_ns) >= _SLOW_NS:
                    shown_ns = time_ns
                    emit(Measurement(self.name, time_ns, "gross", gross_kg[-1], "_kg"))
