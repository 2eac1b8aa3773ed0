"""Licence-plate reader that sends framed text: plates that pass in, its messages out; driven by `serve.py`.

Presets: `nedap_raw` (text of a template between STX and ETX), `nedap_protocolled` (the binary frame of the same reader,
either byte order) and `axxonsoft`. A reader of this kind listens to nothing, but for the acknowledgement of the binary
frame where it is set up to wait for one.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Literal, get_args

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.world.events import PlatePassed, WorldEvent

STX, ETX = b"\x02", b"\x03"
OPEN_CODE, CLOSE_CODE = 0x89ABCDEF, 0x12345678
CAMERA = "01"  # ASSUMED: the two digits after the time in the AxxonSoft frame number the camera
RETRIES = 3

Preset = Literal["nedap_raw", "nedap_protocolled", "axxonsoft"]
PRESETS: tuple[str, ...] = get_args(Preset)


def raw_frame(plate: str, country: str, confidence: float, at: datetime, transit: int) -> bytes:
    """Template `plate;country;score;date;time;transit`, score in per cent."""
    score = max(0, min(100, round(confidence * 100)))
    text = f"{plate};{country};{score};{at:%Y-%m-%d};{at:%H-%M-%S};{transit}"
    return STX + text.encode("ascii", "replace") + ETX


def binary_frame(number: int, data: bytes, order: Literal["big", "little"] = "big") -> bytes:
    """Open code, number, length, data, XOR of all of that, close code."""
    mark = ">" if order == "big" else "<"
    head = struct.pack(mark + "III", OPEN_CODE, number & 0xFFFFFFFF, len(data)) + data
    return head + bytes([reduce(int.__xor__, head)]) + struct.pack(mark + "I", CLOSE_CODE)


def axxonsoft_frame(plate: str, at: datetime) -> bytes:
    return STX + f"{at:%Y%m%d%H%M%S}{CAMERA}{plate}".encode("ascii", "replace") + ETX


class LprFrame(Emulator):
    """The device core. `clock` gives the time that the reader's clock shows at a world time."""

    baud = 9600
    faults = frozenset({"clock_step", "clock_drift", "stuck_plate"})

    def __init__(
        self,
        clock: Callable[[float], datetime],
        *,
        preset: Preset = "nedap_raw",
        byte_order: Literal["big", "little"] = "big",
        ack_timeout_s: float = 0.0,
    ) -> None:
        if preset not in PRESETS:
            raise ValueError(f"preset {preset!r}: give one of {', '.join(PRESETS)}")
        self._clock = clock
        self._preset = preset
        self._order = byte_order
        self._ack_timeout_s = ack_timeout_s  # 0: waits for none
        self._step_s = 0.0
        self._drift: tuple[float, float] | None = None  # since when, ppm
        self._is_stuck = False
        self._stuck: PlatePassed | None = None  # what it goes on to read
        self._power_up()

    def _power_up(self) -> None:
        self._transit = 0
        self._number = 0
        self._waiting: deque[bytes] = deque(maxlen=50)
        self._sent_at_s: float | None = None
        self._tries = 0
        self._heard = bytearray()
        self._last: PlatePassed | None = None
        self._again_s = 0.0

    def reboot(self, now_s: float) -> Output:
        self._power_up()
        return []

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if not isinstance(event, PlatePassed):
            return []
        self._last, self._again_s = event, now_s + 1.0
        return self._report(event, now_s)

    def _report(self, event: PlatePassed, now_s: float) -> Output:
        self._transit += 1
        at = self._time(now_s)
        match self._preset:
            case "nedap_raw":
                return [Send(raw_frame(event.plate, event.country, event.confidence, at, self._transit))]
            case "axxonsoft":
                return [Send(axxonsoft_frame(event.plate, at))]
        self._number += 1
        data = f"{event.plate}-{event.country}".encode("ascii", "replace")
        frame = binary_frame(self._number, data, self._order)
        if not self._ack_timeout_s:
            return [Send(frame)]
        self._waiting.append(frame)
        return self._next(now_s)

    def _time(self, now_s: float) -> datetime:
        at = self._clock(now_s) + timedelta(seconds=self._step_s)
        if self._drift is not None:
            since_s, ppm = self._drift
            at += timedelta(seconds=(now_s - since_s) * ppm * 1e-6)
        return at

    def _next(self, now_s: float) -> Output:
        if not self._waiting or self._sent_at_s is not None:
            return []
        self._sent_at_s = now_s
        return [Send(self._waiting[0])]

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        """An acknowledgement, whose layout is ASSUMED: open code, number, XOR, close code."""
        if not self._waiting:
            return []
        self._heard += data
        del self._heard[:-256]
        mark = ">" if self._order == "big" else "<"
        number = struct.unpack_from(mark + "I", self._waiting[0], 4)[0]
        head = struct.pack(mark + "II", OPEN_CODE, number)
        wanted = head + bytes([reduce(int.__xor__, head)]) + struct.pack(mark + "I", CLOSE_CODE)
        if wanted not in self._heard:
            return []
        self._heard.clear()
        return self._done(now_s)

    def _done(self, now_s: float) -> Output:
        self._waiting.popleft()
        self._sent_at_s, self._tries = None, 0
        return self._next(now_s)

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        output: Output = []
        if self._is_stuck:
            self._stuck = self._stuck or self._last
        if self._stuck is not None and now_s >= self._again_s:
            self._again_s = now_s + 1.0
            output += self._report(self._stuck, now_s)
        if self._sent_at_s is not None and now_s - self._sent_at_s >= self._ack_timeout_s:
            self._tries += 1
            self._sent_at_s = None
            output += self._done(now_s) if self._tries > RETRIES else self._next(now_s)
        return output

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "clock_step":
                self._step_s = float(options.get("step_s", 3600.0)) if active else 0.0
            case "clock_drift":
                self._drift = (now_s, float(options.get("ppm", 200.0))) if active else None
            case "stuck_plate":
                self._is_stuck, self._stuck = active, None
        return []
