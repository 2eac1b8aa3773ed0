"""SICK LMS laser scanner over a lane: whether a vehicle is in its plane in, scans as CoLa A telegrams out.

The world tells by the device's input `presence` when a vehicle enters and leaves the plane. The scanner hangs over the
middle of the lane and looks down; a vehicle is a box of `width_m` and of the next of `heights_m`, on a flat road. What
the listing leaves open is marked ASSUMED.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Send
from firmware_sim.world.events import InputChanged, WorldEvent

STX, ETX = b"\x02", b"\x03"
LONGEST = 4096
MOST_SCANS = 10  # made up for in one tick
START_DEG, DOWN_DEG = -5.0, 90.0
RANGE_M = 20.0
DIRTY = 2  # second word of the device state


class SickLms(Emulator):
    """The device core: one host at a time is sent scans, as an LMS1xx does with each connection that asked."""

    faults = frozenset({"dirty", "device_error"})

    def __init__(
        self,
        *,
        height_m: float = 6.0,
        width_m: float = 2.5,
        heights_m: Sequence[float] = (3.9, 1.5, 2.8),
        scan_hz: float = 25.0,
        step_deg: float = 0.5,
        starts_s: float = 0.0,
    ) -> None:
        if not (0 < scan_hz <= 100 and 0.1 <= step_deg <= 2 and height_m > 0 and heights_m):
            raise ValueError("scan_hz: 0 to 100; step_deg: 0.1 to 2; height_m: above 0; heights_m: not empty")
        self._height_m, self._half_m, self._heights_m = height_m, width_m / 2, list(heights_m)
        self._scan_hz, self._step_deg, self._starts_s = scan_hz, step_deg, starts_s
        self._points = round((180.0 - 2 * START_DEG) / step_deg) + 1
        self._present = self._dirty = self._broken = False
        self._passed = 0
        self._power_up(0.0)

    def _power_up(self, now_s: float) -> None:
        self._up_s = now_s
        self._scans = self._telegrams = 0
        self._buffers: dict[int, bytes] = {}
        self._hosts: set[int] = set()

    def reboot(self, now_s: float) -> Output:
        self._power_up(now_s)
        return [Hangup(MAIN)]

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        self._buffers[peer] = b""
        return []

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        self._buffers.pop(peer, None)
        self._hosts.discard(peer)

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        *telegrams, rest = (self._buffers.get(peer, b"") + data).split(ETX)
        self._buffers[peer] = rest[-LONGEST:]
        output: Output = []
        for telegram in telegrams:
            start = telegram.rfind(STX)
            if start >= 0:
                answer = self._answer(telegram[start + 1 :].decode("ascii", "replace"), peer, now_s)
                output.append(Send(STX + answer.encode("ascii", "replace") + ETX, MAIN, peer))
        return output

    def _answer(self, command: str, peer: int, now_s: float) -> str:
        match command.split():
            case ["sRN", "SCdevicestate"]:
                return f"sRA SCdevicestate {2 if self._broken else 0 if now_s - self._up_s < self._starts_s else 1}"
            case ["sRN", "DeviceIdent"]:
                return "sRA DeviceIdent 10 LMS11x_FieldEval 10 V1.36-21.10.2010"
            case ["sRN", "LMDscandata"]:
                return self._scan("sRA", now_s)
            case ["sEN", "LMDscandata", "1"]:
                self._hosts.add(peer)
                return "sEA LMDscandata 1"
            case ["sEN", "LMDscandata", "0"]:
                self._hosts.discard(peer)
                return "sEA LMDscandata 0"
            case ["sRN" | "sWN" | "sMN" | "sEN", *_]:
                return "sFA 3"  # unknown index
        return "sFA 2"  # ASSUMED for what is no command at all

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if isinstance(event, InputChanged) and event.input == "presence":
            self._passed += self._present and not event.on
            self._present = event.on
        return []

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        due = int((now_s - self._up_s) * self._scan_hz)
        self._scans = max(self._scans, due - MOST_SCANS)
        output: Output = []
        while self._scans < due:
            self._scans += 1
            if self._hosts and MAIN not in congested:
                telegram = STX + self._scan("sSN", now_s).encode("ascii") + ETX
                output += [Send(telegram, MAIN, peer) for peer in sorted(self._hosts)]
        return output

    def _scan(self, kind: str, now_s: float) -> str:
        self._telegrams += 1
        up_us = round((now_s - self._up_s) * 1e6) & 0xFFFFFFFF
        state = "1" if self._broken else str(DIRTY if self._dirty else 0)
        head = [kind, "LMDscandata", "1", "1", "89A27F", "0", state, f"{self._telegrams & 0xFFFF:X}"]
        head += [f"{self._scans & 0xFFFF:X}", f"{up_us:X}", f"{up_us:X}", "0", "0", "7", "0", "0"]
        head += [f"{round(100 * self._scan_hz):X}", "168", "0", "1", "DIST1", "3F800000", "00000000"]
        start = struct.pack(">i", round(1e4 * START_DEG)).hex().upper()
        head += [start, f"{round(1e4 * self._step_deg):X}", f"{self._points:X}"]
        distances = (self._distance_mm(START_DEG + k * self._step_deg - DOWN_DEG) for k in range(self._points))
        return " ".join([*head, *(f"{distance:X}" for distance in distances), "0", "0", "0", "0", "0", "0"])

    def _distance_mm(self, off_deg: float) -> int:
        """To the road or the vehicle along a beam that leaves straight down by so much; 0 where nothing is in range."""
        cosine, sine = math.cos(math.radians(off_deg)), abs(math.sin(math.radians(off_deg)))
        if cosine <= 1e-3:
            return 0
        distance_m = self._height_m / cosine
        if self._present:
            top_m = self._height_m - self._heights_m[self._passed % len(self._heights_m)]
            if top_m > 0:
                on_roof, at_side = top_m / cosine, self._half_m / sine if sine > 1e-6 else math.inf
                if on_roof * sine <= self._half_m:
                    distance_m = on_roof
                elif at_side < distance_m and at_side * cosine > top_m:
                    distance_m = at_side
        return round(1000 * distance_m) if distance_m <= RANGE_M else 0

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        if kind == "dirty":
            self._dirty = active
        elif kind == "device_error":
            self._broken = active
        return []
