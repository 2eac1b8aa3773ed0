"""gpsd: how good the time from a GPS receiver is; JSON lines by TCP, port 2947.

    to gpsd      ?WATCH={"enable":true,"json":true,"pps":true};
    from gpsd    {"class":"TPV","mode":3,...}       mode 2 or 3: a fix; comes out as the input `gps_fix`
                 {"class":"PPS","real_sec":..,"real_nsec":..,"clock_sec":..,"clock_nsec":..}
                 the host's clock against the pulse: clock - real comes out as `clock_offset`, in seconds

Source: gpsd_json(5). This only watches; what sets the clock is chrony or gpsd's own shared memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec

from drivers.base import Driver, Emit, Offer, Options
from drivers.events import Measurement, Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.inputs import InputWatch
from drivers.links import connect

_WATCH = b'?WATCH={"enable":true,"json":true,"pps":true};\n'
_LONGEST = 10240  # gpsd's own bound of a response


class Tpv(msgspec.Struct, frozen=True, tag_field="class", tag="TPV"):
    """A report of position and time; only what is used."""

    mode: int = 0


class Pps(msgspec.Struct, frozen=True, tag_field="class", tag="PPS"):
    """A pulse: true time and the host's time of the same moment."""

    real_sec: int
    real_nsec: int
    clock_sec: int
    clock_nsec: int

    @property
    def offset_s(self) -> float:
        """The host's clock less the true time."""
        return (self.clock_sec - self.real_sec) + (self.clock_nsec - self.real_nsec) * 1e-9


class Other(msgspec.Struct, frozen=True):
    """Any other report."""

    kind: str = msgspec.field(default="", name="class")


Report = Tpv | Pps | Other


class GpsdCodec(FrameCodec[Report]):
    """Bytes to reports."""

    limit = 2 * _LONGEST

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Report] | Skip | None:
        if buffer[0] in b"\r\n":
            return Skip(1)
        end = buffer.find(b"\n", 0, _LONGEST)
        if end < 0:
            return Skip(_LONGEST, "too_long") if len(buffer) >= _LONGEST else None
        line = bytes(buffer[:end])
        try:
            kind = msgspec.json.decode(line, type=Other).kind
            if kind == "TPV" or kind == "PPS":
                return Frame(end + 1, (msgspec.json.decode(line, type=Tpv | Pps),))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Frame(end + 1, (Rejected(self.device, time_ns, "bad_json"),))
        return Frame(end + 1, (Other(kind),))


class Gpsd(Driver):
    Options: ClassVar[type[Options]] = Options
    summary = "gpsd: GPS fix and the offset of this computer's clock from the pulse per second"
    schemes = ("tcp",)
    reports = frozenset({"gps_fix"})
    port = 2947

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset({"gps_fix"}), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        codec = GpsdCodec(self.name)
        inputs = InputWatch(self.name, ("gps_fix",))
        async with connect(self) as link:
            await link.write(_WATCH)
            while True:
                data, time_ns = await link.read()
                for record in codec.feed(data, time_ns):
                    if isinstance(record, Rejected):
                        emit(record)
                    elif isinstance(record, Tpv):
                        alive()
                        for change in inputs.look([record.mode >= 2], None, time_ns):
                            emit(change)
                    elif isinstance(record, Pps):
                        alive()
                        emit(Measurement(self.name, time_ns, "clock_offset", record.offset_s, "_s"))
