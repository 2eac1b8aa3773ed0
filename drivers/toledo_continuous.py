"""Mettler-Toledo "continuous output": what most weighbridge indicators can send, 7 to 20 frames a second.

    02 SA SB SC  W W W W W W  T T T T T T  0D [CC]          W weight, T tare: six digits without a point

    SA  bits 0-2 decimals (000 x100, 001 x10, 010 none, 011 one, 100 two ..), bits 3-4 increment (1, 2, 5); bit 5 = 1
    SB  bit 0 net, 1 negative, 2 out of range, 3 moving, 4 kg (else lb), 6 zero not captured; bit 5 = 1
    SC  bits 0-2 unit: 0 kg or lb as SB says, 1 g, 2 t, 3 oz, 4 troy oz, 5 pennyweight, 6 short ton, 7 newton or own
        bit 3 print, bit 4 the display shows one digit more (the decimals in SA count it), bit 5 = 1
    CC  two's complement of the sum of the low seven bits of all before, from 02 to 0D

    02 2A 30 20 30 31 38 32 35 30 30 30 30 30 30 30 0D 27         18250 kg gross, standing still

The line is often set to 7 bits and even parity; give it in the URL (`?bits=7&parity=even`).

What is no weight is rejected by its name: `blank` (the display is off, or the indicator shows none), `no_weight`
(stars, dashes or letters in place of digits), `unit_no_weight` (newton, an own unit). What such a frame says of the
range counts.

Sources: operator manuals of indicators that document the format (57c428 guide, Cardinal 225, Kern FTC, Liden LUW2001,
whose bits 5 are not as they should be); firmware of the IND245 (ContOut.c in zpq001/DL_Scale) for SC and for what is
sent in place of a weight. Unconfirmed on hardware: SB bit 6; units 4 and 5; that SA counts the digit of SC bit 4
elsewhere too (else `expanded_tenths = true`). An indicator that sends no CC needs `checksum = false`,
and the driver says so; one that sends it all the same is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options
from drivers.events import Measurement, Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.inputs import InputWatch
from drivers.links import connect
from drivers.weighstream import PushStream

_STX, _CR, _LF = 0x02, 0x0D, 0x0A
_LENGTH = 17  # with CR, without CC
_FIXED_BITS = 0x20
_LB_KG = 0.45359237
_UNITS_KG = {1: 0.001, 2: 1000.0, 3: _LB_KG / 16, 4: 0.0311034768, 5: 0.00155517384, 6: 2000 * _LB_KG}
_SURE = 10  # frames without a check character, and none with one
_SLOW_NS = 1_000_000_000


class ToledoOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate_hz: Annotated[float, Meta(gt=0, le=100, description="frames a second that the indicator sends")] = 10.0
    per_count: Annotated[float, Meta(gt=0, description="kg in one count of the sample stream")] = 2.0
    checksum: Annotated[bool, Meta(description="the indicator sends a check character after CR")] = True
    expanded_tenths: Annotated[
        bool, Meta(description="with the expanded display the weight comes ten times too large (unconfirmed)")
    ] = False


@dataclass(frozen=True, slots=True)
class Weight:
    """One frame. `kg` is gross, or net where `net` is set."""

    time_ns: int
    kg: float
    tare_kg: float
    net: bool
    moving: bool
    out_of_range: bool


@dataclass(frozen=True, slots=True)
class NoWeight:
    """A frame without a weight."""

    time_ns: int
    moving: bool
    out_of_range: bool


class ToledoCodec(FrameCodec[Weight | NoWeight]):
    """Bytes to weights."""

    limit = 256

    def __init__(self, device: str, options: ToledoOptions) -> None:
        super().__init__(device)
        self._checksum = options.checksum
        self._check_due: int | None = None  # the check character that may follow where none was announced
        self.unchecked = 0  # frames in order but for their check character, in whose place the next frame begins
        self._expanded = 0.1 if options.expanded_tenths else 1.0

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Weight | NoWeight] | Skip | None:
        due, self._check_due = self._check_due, None
        if buffer[0] & 0x7F != _STX:
            return Skip(1) if buffer[0] in b"\n\r" or buffer[0] & 0x7F == due else Skip(1, "no_start")
        if len(buffer) < _LENGTH + self._checksum:
            return None
        plain = bytes(byte & 0x7F for byte in buffer[: _LENGTH + self._checksum])
        if plain[_LENGTH - 1] != _CR:
            return Skip(1, "no_end")
        fixed = bool(plain[1] & plain[2] & plain[3] & _FIXED_BITS)
        if self._checksum and sum(plain) & 0x7F:
            self.unchecked += fixed and plain[_LENGTH] in (_STX, _CR, _LF)
            return Skip(1, "bad_sum")
        if not self._checksum:
            if not fixed:
                return Skip(1, "bad_fields")  # nothing else says that this is a frame
            self._check_due = -sum(plain) & 0x7F
        return Frame(len(plain), self._read(plain, time_ns))

    def _read(self, plain: bytes, time_ns: int) -> tuple[Weight | NoWeight | Rejected, ...]:
        a, b, c = plain[1:4]
        moving, out_of_range, net = bool(b & 0x08), bool(b & 0x04), bool(b & 0x01)
        weight, tare = (plain[start : start + 6].strip(b" ") for start in (4, 10))
        unit = c & 0b111
        reason = ""
        if not net and not tare.isdigit():
            tare = b"0"  # nothing depends on it
        if not weight or not tare:
            reason = "blank"
        elif not (weight.isdigit() and tare.isdigit()):
            reason = "no_weight"
        elif unit and unit not in _UNITS_KG:
            reason = "unit_no_weight"
        if reason:
            return Rejected(self.device, time_ns, reason), NoWeight(time_ns, moving, out_of_range)
        unit_kg = _UNITS_KG[unit] if unit else 1.0 if b & 0x10 else _LB_KG
        one_kg = unit_kg * 10.0 ** (2 - (a & 0b111)) * (self._expanded if c & 0x10 else 1.0)
        kg = int(weight) * one_kg
        return (Weight(time_ns, -kg if b & 0x02 else kg, int(tare) * one_kg, net, moving, out_of_range),)


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
                records = codec.feed(data, time_ns)
                weights: list[Weight] = []
                for record in records:
                    if isinstance(record, Weight):
                        weights.append(record)
                    elif isinstance(record, Rejected):
                        emit(record)
                        lost += 1  # as far as can be known
                said = [record for record in records if not isinstance(record, Rejected)]
                if said:
                    alive()
                    codec.unchecked = 0
                elif codec.unchecked >= _SURE:
                    raise DeviceError(
                        f"{self.url}: sends no check character; set checksum = false, or set it to send one"
                    )
                if weights:
                    gross_kg = [weight.kg + weight.tare_kg if weight.net else weight.kg for weight in weights]
                    emit(stream.block(gross_kg, time_ns, lost))
                    lost = 0
                    if abs(time_ns - shown_ns) >= _SLOW_NS:
                        shown_ns = time_ns
                        emit(Measurement(self.name, time_ns, "gross", gross_kg[-1], "_kg"))
                for frame in said:
                    for change in inputs.look([not frame.moving, frame.out_of_range], None, frame.time_ns):
                        emit(change)
