"""chrony: whether this computer's clock is right; asks `chronyc -c -n tracking` every two seconds.

    reference id, name, stratum, reference time, system offset, last offset, rms offset, frequency ppm, residual ppm,
    skew ppm, root delay, root dispersion, update interval, leap status        (comma-separated, offsets in seconds)

Comes out as the input `clock_synchronised` (a reference is followed, and the last offset is within `largest_offset_s`)
and the measurements `clock_offset` (last offset), `clock_error` (root dispersion and half the root delay, the most the
clock can be wrong), in seconds.

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


class ChronyOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    largest_offset_s: Annotated[float, Meta(gt=0, description="a last offset above this is not synchronised")] = 0.005
    command: Annotated[str, Meta(min_length=1, description="the chronyc program")] = "chronyc"


@dataclass(frozen=True, slots=True)
class Tracking:
    """What chronyd follows, and how closely."""

    synchronised: bool
    offset_s: float
    error_s: float


def parse(line: str) -> Tracking:
    """A line of `chronyc -c tracking`. Raises ProtocolError."""
    columns = line.strip().split(",")
    if len(columns) != _COLUMNS or columns[13] not in _LEAP:
        raise ProtocolError("chrony_columns", f"chronyc prints {len(columns)} columns, not the {_COLUMNS} known ones")
    try:
        offset_s, delay_s, dispersion_s = (float(columns[index]) for index in (5, 10, 11))
    except ValueError:
        raise ProtocolError("chrony_number", "chronyc prints no number where an offset is due") from None
    if not all(map(math.isfinite, (offset_s, delay_s, dispersion_s))):
        raise ProtocolError("chrony_number", "chronyc prints no number where an offset is due")
    followed = columns[13] != "Not synchronised" and columns[2] != "0"
    return Tracking(followed, offset_s, dispersion_s + delay_s / 2.0)


class Chrony(Driver):
    Options: ClassVar[type[Options]] = ChronyOptions
    summary = "chrony: whether this computer's clock follows a reference, and how closely"
    schemes = ("chrony",)
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
            good = tracking.synchronised and abs(tracking.offset_s) <= self.options.largest_offset_s
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
