"""chrony: whether this computer's clock is right; asks `chronyc -c -n tracking` every two seconds.

    reference id, name, stratum, reference time, system offset, last offset, rms offset, frequency ppm, residual ppm,
    skew ppm, root delay, root dispersion, update interval, leap status        (comma-separated, offsets in seconds)

Comes out as the input `clock_synchronised` and the measurements `clock_offset` (last offset) and `clock_error` (root
dispersion, half the root delay and what is still to be corrected: the most that the clock can be wrong), in seconds.
That chronyd says "Normal" is not enough. Synchronised is a clock

- that follows a reference, and not itself: in `local` mode the reference id is 7F7F01xx, the leap status Normal and the
  offsets are 0 (oxidecomputer/omicron issue 5192);
- whose last offset and whose present correction are within `largest_offset_s`, and `clock_error` within
  `largest_error_s` (meta-balena issue 1852: offset 7 us, root dispersion 3849 s);
- that was set lately: a chronyd 4.3 whose only source is gone says Normal with a frozen offset for hours. Five update
  intervals may pass, at least `stale_after_s`; a reference time in the future is none.

Source: chronyc(1); the columns as chrony 4.3 prints them. They are checked by their number and by the leap status.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options, ProtocolError
from drivers.events import Measurement
from drivers.inputs import InputWatch
from drivers.urls import parse_url

_EVERY_S = 2.0
_ANSWER_S = 2.0
_COLUMNS = 14
_LEAP = {"Normal", "Insert second", "Delete second", "Not synchronised"}
_ITSELF = "7F7F01"  # beginning of the reference id in `local` mode: 127.127.1.x
_MOST_INTERVALS = 5.0  # while chronyd polls more and more seldom, an interval is up to four times the last one
_FUTURE_S = 60.0


class ChronyOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    largest_offset_s: Annotated[float, Meta(gt=0, description="a last offset above this is not synchronised")] = 0.005
    largest_error_s: Annotated[
        float, Meta(gt=0, description="more than this of root dispersion and half the delay is not synchronised")
    ] = 0.25
    stale_after_s: Annotated[
        float, Meta(gt=0, description="the least time without an update of the clock that is not synchronised")
    ] = 600.0
    command: Annotated[str, Meta(min_length=1, description="the chronyc program")] = "chronyc"


@dataclass(frozen=True, slots=True)
class Tracking:
    """What chronyd follows, and how closely. `updated_s` is Unix time."""

    followed: bool
    offset_s: float
    correction_s: float
    error_s: float
    updated_s: float
    interval_s: float

    def synchronised(self, now_s: float, options: ChronyOptions) -> bool:
        """Whether the clock is right at `now_s`, as far as can be known."""
        age_s = now_s - self.updated_s
        return (
            self.followed
            and max(abs(self.offset_s), abs(self.correction_s)) <= options.largest_offset_s
            and self.error_s <= options.largest_error_s
            and -_FUTURE_S <= age_s <= max(_MOST_INTERVALS * self.interval_s, options.stale_after_s)
        )


def parse(line: str) -> Tracking:
    """A line of `chronyc -c tracking`. Raises ProtocolError."""
    columns = line.strip().split(",")
    if len(columns) != _COLUMNS or columns[13] not in _LEAP:
        raise ProtocolError("chrony_columns", f"chronyc prints {len(columns)} columns, not the {_COLUMNS} known ones")
    try:
        updated_s, correction_s, offset_s, delay_s, dispersion_s, interval_s = numbers = [
            float(columns[index]) for index in (3, 4, 5, 10, 11, 12)
        ]
    except ValueError:
        raise ProtocolError("chrony_number", "chronyc prints no number where an offset is due") from None
    if not all(map(math.isfinite, numbers)):
        raise ProtocolError("chrony_number", "chronyc prints no number where an offset is due")
    followed = (
        columns[13] != "Not synchronised"
        and columns[2] not in ("0", "16")
        and not columns[0].upper().startswith(_ITSELF)
    )
    error_s = dispersion_s + delay_s / 2.0 + abs(correction_s)
    return Tracking(followed, offset_s, correction_s, error_s, updated_s, interval_s)


class Chrony(Driver):
    Options: ClassVar[type[Options]] = ChronyOptions
    summary = "chrony: whether this computer's clock follows a reference, and how closely"
    schemes = ("chrony",)
    service = True
    reports = frozenset({"clock_synchronised"})
    silent_after_s = 4.8
    options: ChronyOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset({"clock_synchronised"}), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        host = parse_url(self.url, self.schemes).host
        inputs = InputWatch(self.name, ("clock_synchronised",))
        while True:
            tracking = parse(await self._ask(host))
            time_ns = self.clock()
            alive()
            good = tracking.synchronised(time_ns * 1e-9, self.options)
            for change in inputs.look([good], None, time_ns):
                emit(change)
            emit(Measurement(self.name, time_ns, "clock_offset", tracking.offset_s, "_s"))
            emit(Measurement(self.name, time_ns, "clock_error", tracking.error_s, "_s"))
            await asyncio.sleep(_EVERY_S)

    async def _ask(self, host: str) -> str:
        pipe = asyncio.subprocess.PIPE
        words = ("-c", "-n", *(() if host == "localhost" else ("-h", host)), "tracking")
        try:
            process = await asyncio.create_subprocess_exec(self.options.command, *words, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise DeviceError(f"{self.options.command}: {error.strerror}; install chrony") from None
        try:
            async with asyncio.timeout(_ANSWER_S):
                output, _ = await process.communicate()
        except TimeoutError:
            raise DeviceError(f"{self.url}: chronyc does not answer; is chronyd running?") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            text = output.decode("utf-8", "replace").strip()[:80]
            raise DeviceError(f"{self.url}: chronyc fails ({text}); is chronyd running?")
        return output.decode("utf-8", "replace")
