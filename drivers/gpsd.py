"""gpsd: how good the time from a GPS receiver is; JSON lines by TCP, port 2947.

    to gpsd      ?WATCH={"enable":true,"json":true,"pps":true};
    from gpsd    {"class":"TPV","device":"/dev/ttyS0","mode":3,"time":"2026-11-24T05:22:17.000Z"}       2, 3: a fix
                 {"class":"PPS","device":..,"real_sec":..,"real_nsec":..,"clock_sec":..,"clock_nsec":..}
                 the host's clock against the pulse: clock - real comes out as `clock_offset`, in seconds
                 {"class":"TOFF", ..}            the same against the end of the receiver's sentence: to a second

`gps_fix` is on while a receiver has a fix, each judged by itself (gpsd tells of all that it has): mode 2 or 3, and a
time that goes on. `clock_synchronised` is on while the host's clock is within `largest_offset_s` of the pulse; without
pulses it is held against TOFF and the time in TPV, as closely as those can be. A receiver whose week count rolled over
is 1024 weeks off then, and says so here. Both change only when the new state has lasted `hold_s`: a single report
without a fix is none lost. Only a clock that is a second and more off is told at once: that is no noise. Without any
sign of the clock `clock_synchronised` is not told.

Source: gpsd_json(5), gpsd 3.22 and 3.25. This only watches; what sets the clock is chrony or gpsd's shared memory.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options
from drivers.events import InputChange, Measurement, Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.links import connect

_WATCH = b'?WATCH={"enable":true,"json":true,"pps":true};\n'
_LONGEST = 10240  # gpsd's own bound of a response
_REPORTED_NS = 10_000_000_000  # a receiver of which nothing was heard for longer has no fix, a source of time is gone
_CERTAIN_S = 1.0
_SENTENCE_S, _REPORT_S = 1.5, 10.0  # how far TOFF and the time of a TPV can be off with a clock in order


class GpsdOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    receiver: Annotated[str, Meta(description="path of the one receiver that counts; empty: any of gpsd's")] = ""
    largest_offset_s: Annotated[float, Meta(gt=0, description="more than this off the pulse is not synchronised")] = (
        0.005
    )
    hold_s: Annotated[float, Meta(ge=0, le=60, description="how long a new state lasts before it is told")] = 3.0


class Tpv(msgspec.Struct, frozen=True, tag_field="class", tag="TPV"):
    """A report of position and time; only what is used."""

    mode: int = 0
    device: Any = ""
    time: Any = ""  # text; whatever else stands there must not cost the fix


class _Moment(msgspec.Struct, frozen=True):
    """True time and the host's time of the same moment."""

    real_sec: int
    real_nsec: int
    clock_sec: int
    clock_nsec: int
    device: Any = ""

    @property
    def offset_s(self) -> float:
        """The host's clock less the true time."""
        return (self.clock_sec - self.real_sec) + (self.clock_nsec - self.real_nsec) * 1e-9


class Pps(_Moment, frozen=True, tag_field="class", tag="PPS"):
    """A pulse."""


class Toff(_Moment, frozen=True, tag_field="class", tag="TOFF"):
    """The end of a sentence that says the time."""


class Other(msgspec.Struct, frozen=True):
    """Any other report."""

    kind: str = msgspec.field(default="", name="class")


Report = Tpv | Pps | Toff | Other


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
            if kind in ("TPV", "PPS", "TOFF"):
                return Frame(end + 1, (msgspec.json.decode(line, type=Tpv | Pps | Toff),))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Frame(end + 1, (Rejected(self.device, time_ns, "bad_json"),))
        return Frame(end + 1, (Other(kind),))


class Held:
    """A state that is told when it has lasted; the first good one at once."""

    def __init__(self, hold_s: float) -> None:
        self._hold_ns = round(hold_s * 1e9)
        self._told: bool | None = None
        self._other_since_ns: int | None = None

    def look(self, on: bool, time_ns: int, *, certain: bool = False) -> bool | None:
        """The state to tell, where there is a new one; at once where it is `certain`."""
        if on == self._told:
            self._other_since_ns = None
            return None
        if self._other_since_ns is None or not 0 <= time_ns - self._other_since_ns <= _REPORTED_NS + self._hold_ns:
            self._other_since_ns = time_ns
        at_once = certain or (on and self._told is None)
        if not at_once and time_ns - self._other_since_ns < self._hold_ns:
            return None
        self._told, self._other_since_ns = on, None
        return on


class Fixes:
    """Which receivers have a fix."""

    def __init__(self) -> None:
        self._times: dict[str, tuple[Any, int]] = {}  # by receiver: the time it said last, and when that was new
        self._fixed_ns: dict[str, int] = {}

    def look(self, report: Tpv, time_ns: int) -> bool:
        """Take a report; whether any receiver has a fix now."""
        receiver = str(report.device)
        said, since_ns = self._times.get(receiver, ("", time_ns))
        if report.time != said:
            since_ns = time_ns
        self._times[receiver] = report.time, since_ns
        stands = bool(report.time) and time_ns - since_ns > _REPORTED_NS // 2
        if report.mode >= 2 and not stands:
            self._fixed_ns[receiver] = time_ns
        else:
            self._fixed_ns.pop(receiver, None)
        return any(0 <= time_ns - seen_ns <= _REPORTED_NS for seen_ns in self._fixed_ns.values())


class ClockJudge:
    """The host's clock against the best that was heard lately: pulse, sentence, report."""

    def __init__(self, largest_offset_s: float) -> None:
        self._limits_s = (largest_offset_s, max(largest_offset_s, _SENTENCE_S), max(largest_offset_s, _REPORT_S))
        self._heard_ns: list[int | None] = [None, None, None]
        self.certain = False  # what was judged last is no noise

    def look(self, report: Tpv | Pps | Toff, time_ns: int) -> bool | None:
        """Whether the clock is right; None where this report says nothing, or a better one did lately."""
        if isinstance(report, Tpv):
            rank, offset_s = 2, _offset_s(report, time_ns)
        else:
            rank, offset_s = isinstance(report, Toff), report.offset_s
        if offset_s is None:
            return None
        self._heard_ns[rank] = time_ns
        if any(seen is not None and 0 <= time_ns - seen <= _REPORTED_NS for seen in self._heard_ns[:rank]):
            return None
        self.certain = rank < 2 and abs(offset_s) > max(_CERTAIN_S, self._limits_s[rank])
        return abs(offset_s) <= self._limits_s[rank]


def _offset_s(report: Tpv, time_ns: int) -> float | None:
    """The host's clock less the time of a report with a fix."""
    if report.mode < 2 or not isinstance(report.time, str):
        return None
    try:
        said = datetime.fromisoformat(report.time)
    except ValueError:
        return None
    return time_ns * 1e-9 - (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()


class Gpsd(Driver):
    Options: ClassVar[type[Options]] = GpsdOptions
    summary = "gpsd: GPS fix and the offset of this computer's clock from the pulse per second"
    schemes = ("tcp",)
    service = True
    reports = frozenset({"gps_fix", "clock_synchronised"})
    port = 2947
    options: GpsdOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset({"gps_fix", "clock_synchronised"}), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        codec = GpsdCodec(self.name)
        fixes, clock = Fixes(), ClockJudge(options.largest_offset_s)
        held = {"gps_fix": Held(options.hold_s), "clock_synchronised": Held(options.hold_s)}

        def tell(name: str, on: bool | None, time_ns: int, *, certain: bool = False) -> None:
            if on is not None and (new := held[name].look(on, time_ns, certain=certain)) is not None:
                emit(InputChange(self.name, time_ns, name, new))

        async with connect(self) as link:
            await link.write(_WATCH)
            while True:
                data, time_ns = await link.read()
                for record in codec.feed(data, time_ns):
                    if isinstance(record, Rejected):
                        emit(record)
                    elif not isinstance(record, Other) and options.receiver in ("", record.device):
                        alive()
                        if isinstance(record, Tpv):
                            tell("gps_fix", fixes.look(record, time_ns), time_ns)
                        elif isinstance(record, Pps):
                            emit(Measurement(self.name, time_ns, "clock_offset", record.offset_s, "_s"))
                        good = clock.look(record, time_ns)
                        tell("clock_synchronised", good, time_ns, certain=clock.certain)
