"""A gpsd with a receiver that has a fix: world time in, its JSON over TCP out.

A client says `?WATCH={...};` and gets TPV once a second, PPS and TOFF beside it where it asked for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Send

DEVICE = "/dev/ttyACM0"
VERSION = {"class": "VERSION", "release": "3.25", "rev": "3.25", "proto_major": 3, "proto_minor": 15}
LONGEST = 4096
SERIAL_DELAY_S = 0.12  # the sentence with the time comes that much after the second


class Gpsd(Emulator):
    """The device core. `clock` gives true time at a world time; the host's clock is what the client compares."""

    faults = frozenset({"no_fix", "clock_step", "no_pps"})

    def __init__(
        self,
        clock: Callable[[float], datetime],
        *,
        latitude: float = 42.31,
        longitude: float = -83.07,
        pps: bool = True,
    ) -> None:
        self._clock = clock
        self._place = (latitude, longitude)
        self._has_pps = pps
        self._fix = True
        self._step_s = 0.0
        self._second: int | None = None
        self._watching: dict[int, dict[str, bool]] = {}
        self._heard: dict[int, bytearray] = {}

    def reboot(self, now_s: float) -> Output:
        self._watching.clear()
        self._heard.clear()
        return [Hangup(MAIN)]

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        self._heard[peer] = bytearray()
        self._watching[peer] = {"enable": False, "json": False, "pps": False}
        return [_say(VERSION, peer)]

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        self._watching.pop(peer, None)
        self._heard.pop(peer, None)

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        heard = self._heard.get(peer)
        if heard is None:
            return []
        heard += data
        output: Output = []
        while (end := heard.find(b";")) >= 0:
            request = bytes(heard[:end]).strip()
            del heard[: end + 1]
            output += self._request(request, peer, now_s)
        del heard[:-LONGEST]
        return output

    def _request(self, request: bytes, peer: int, now_s: float) -> Output:
        name, _, argument = request.partition(b"=")
        match name:
            case b"?WATCH":
                return self._watch(argument, peer, now_s)
            case b"?VERSION":
                return [_say(VERSION, peer)]
            case b"?DEVICES":
                return [_say(self._devices(now_s), peer)]
            case b"?POLL":
                sky: list[Any] = []
                report = {
                    "class": "POLL",
                    "time": self._text(now_s),
                    "active": 1,
                    "tpv": [self._tpv(now_s)],
                    "sky": sky,
                }
                return [_say(report, peer)]
        shown = request.decode("ascii", "replace")
        return [_say({"class": "ERROR", "message": f"Unrecognized request '{shown}'"}, peer)]

    def _watch(self, argument: bytes, peer: int, now_s: float) -> Output:
        state = self._watching[peer]
        try:
            asked = json.loads(argument or b"{}")
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return [_say({"class": "ERROR", "message": "Invalid WATCH"}, peer)]
        state["enable"] = bool(asked.get("enable", True))
        for key in ("json", "pps"):
            state[key] = bool(asked.get(key, state[key]))
        return [_say(self._devices(now_s), peer), _say({"class": "WATCH"} | state, peer)]

    def _devices(self, now_s: float) -> dict[str, Any]:
        device = {"class": "DEVICE", "path": DEVICE, "driver": "u-blox", "activated": self._text(now_s)}
        return {"class": "DEVICES", "devices": [device]}

    def _true(self, now_s: float) -> datetime:
        return self._clock(now_s) + timedelta(seconds=self._step_s)

    def _text(self, now_s: float) -> str:
        at = self._true(now_s)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"

    def _tpv(self, now_s: float) -> dict[str, Any]:
        if not self._fix:
            return {"class": "TPV", "device": DEVICE, "mode": 1}
        latitude, longitude = self._place
        report = {"class": "TPV", "device": DEVICE, "mode": 3, "time": self._text(now_s), "ept": 0.005}
        return report | {"lat": latitude, "lon": longitude, "altHAE": 180.0, "speed": 0.0}

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        second = int(self._true(now_s).timestamp())
        if self._second is None:
            self._second = second
        if second == self._second:
            return []
        self._second = second
        # the edge was at the full second of true time; the host's clock shows it `step` earlier or later
        edge = {"real_sec": second, "real_nsec": 0}
        clock_ns = round((second - self._step_s) * 1e9)
        edge |= {"clock_sec": clock_ns // 10**9, "clock_nsec": clock_ns % 10**9}
        late_ns = clock_ns + round(SERIAL_DELAY_S * 1e9)
        late = edge | {"clock_sec": late_ns // 10**9, "clock_nsec": late_ns % 10**9}
        output: Output = []
        for peer, state in self._watching.items():
            if not state["enable"]:
                continue
            if state["json"]:
                output.append(_say(self._tpv(now_s), peer))
            if state["pps"] and self._fix:
                output.append(_say({"class": "TOFF", "device": DEVICE} | late, peer))
                if self._has_pps:
                    output.append(_say({"class": "PPS", "device": DEVICE} | edge | {"precision": -20}, peer))
        return output

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "no_fix":
                self._fix = not active
            case "no_pps":
                self._has_pps = not active
            case "clock_step":
                self._step_s = float(options.get("step_s", 1.0)) if active else 0.0
        return []


def _say(report: Mapping[str, Any], peer: int) -> Send:
    return Send(json.dumps(report, separators=(",", ":")).encode() + b"\r\n", MAIN, peer)
