"""What goes wrong on a wire and when: a timeline of faults in, spoilt or withheld bytes out; used by `serve.py`.

`Timeline` says which faults begin and end as world time passes. `Wire` stands between an emulator and its endpoint and
applies those that concern the bytes; those of the link itself (`unplugged`) are carried out by the endpoint, those
inside a device by its emulator, those of sensors by the world. Randomness comes from the generator given.

Faults of a wire, with their options and defaults:

    unplugged         cable or adapter gone: a pty closes, TCP connections are reset and new ones refused
    half_open         cable cut somewhere far: nothing arrives, nothing is closed; afterwards old connections are dead
    silent            the device neither hears nor speaks, the link stands
    tx_dead, rx_dead  one direction is dead: the device speaks and is not heard, or hears nothing
    slow              every frame is `delay_s` (1.0) late
    fragmented        every frame comes in pieces of a few bytes, 20 ms apart
    bit_flips         each byte has one bit wrong with the chance `rate` (0.01)
    wrong_baud        every byte is another one
    lost_frames, doubled_frames, cut_frames, merged_frames   each frame with the chance `rate` (0.3)
    garbage           `bytes` (16) random ones about every `every_s` (0.5)
    echo              the line gives back what the host sends, as two-wire lines and terminal servers do
    reboot            off for the time of the fault, then as at power-up, with the banner of the device
    duplicate_tag     what the device reads is also read by the device `to`
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any

from firmware_sim.emulators.base import Emulator, Send
from firmware_sim.scenario import Fault, Scenario
from firmware_sim.world.crossing import SENSOR_FAULTS

WIRE_FAULTS = frozenset(
    {
        "unplugged",
        "half_open",
        "silent",
        "tx_dead",
        "rx_dead",
        "slow",
        "fragmented",
        "bit_flips",
        "wrong_baud",
        "lost_frames",
        "doubled_frames",
        "cut_frames",
        "merged_frames",
        "garbage",
        "echo",
        "reboot",
        "duplicate_tag",
    }
)
LIMITS: dict[str, tuple[float, float]] = {  # of the options that are numbers
    "delay_s": (0.0, 3600.0),
    "rate": (0.0, 1.0),
    "bytes": (1, 4096),
    "every_s": (0.01, 3600.0),
    "ppm": (-100_000.0, 100_000.0),
    "step_s": (-1e8, 1e8),
    "count": (0, 65_535),
    "code": (1, 255),
    "factor": (0.0, 10_000.0),
    "char_error": (0.0, 1.0),
    "read_share": (0.0, 1.0),
}
DELAYING = frozenset({"slow", "fragmented"})
PIECE_S, LATEST_S = 0.02, 0.25
DEAF = frozenset({"half_open", "silent", "rx_dead", "reboot", "unplugged"})
MUTE = frozenset({"half_open", "silent", "tx_dead", "reboot", "unplugged"})


@dataclass(frozen=True, slots=True)
class Turn:
    """A fault begins (`begins`) or ends."""

    at_s: float
    fault: Fault
    begins: bool


class Timeline:
    """Faults in the order of time; more can be added while it runs."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._heap: list[tuple[float, int, Turn]] = []
        self._count = 0
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        for at_s, begins in ((fault.at_s, True), (fault.at_s + fault.for_s, False)):
            self._count += 1
            heapq.heappush(self._heap, (at_s, self._count, Turn(at_s, fault, begins)))

    def due(self, now_s: float) -> list[Turn]:
        """The turns up to `now_s` that were not given yet."""
        turns: list[Turn] = []
        while self._heap and self._heap[0][0] <= now_s:
            turns.append(heapq.heappop(self._heap)[2])
        return turns


def unknown_faults(scenario: Scenario, emulators: Mapping[str, Emulator]) -> list[str]:
    """A line for each fault of the scenario that its device cannot have."""
    lines: list[str] = []
    for number, fault in enumerate(scenario.fault):
        problem = fault_problem(fault.kind, fault.device, emulators, fault.options)
        if problem:
            lines.append(f"fault[{number}]: {problem}")
    return lines


def fault_problem(
    kind: str, device: str, emulators: Mapping[str, Emulator], options: Mapping[str, Any] | None = None
) -> str | None:
    """Why a device cannot have a fault, and what is allowed; None if it can."""
    for key, (low, high) in LIMITS.items():
        value = (options or {}).get(key, low)
        if not isinstance(value, int | float) or not low <= value <= high:
            return f"{key}: {value!r}; give a number from {low:g} to {high:g}"
    other = (options or {}).get("to", device)
    if kind == "duplicate_tag" and other not in emulators:
        return f"to: no device {other!r}; there are {', '.join(sorted(emulators))}"
    if device not in emulators:
        return f"no device {device!r}; there are {', '.join(sorted(emulators))}"
    allowed = WIRE_FAULTS | SENSOR_FAULTS | emulators[device].faults
    if kind not in allowed:
        return f"kind {kind!r} is none of {device!r}; allowed: {', '.join(sorted(allowed))}"
    return None


class Wire:
    """The bytes between one emulator and its endpoint, with the faults that are active now."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._active: dict[str, Mapping[str, Any]] = {}
        self._late: list[tuple[float, int, Send]] = []
        self._held: Send | None = None
        self._count = 0
        self._free_s = 0.0  # when the last late piece has gone out
        self._garbage_at_s = 0.0

    def begin(self, kind: str, options: Mapping[str, Any]) -> None:
        self._active[kind] = options

    def end(self, kind: str) -> None:
        self._active.pop(kind, None)

    def active(self, kind: str) -> bool:
        return kind in self._active

    def option(self, kind: str, key: str, default: float) -> float:
        return float(self._active.get(kind, {}).get(key, default))

    def to_device(self, data: bytes) -> bytes:
        """What the device gets of the bytes from the host."""
        if DEAF & self._active.keys():
            return b""
        return self._spoilt(data)

    def to_host(self, send: Send, now_s: float) -> list[Send]:
        """What goes out now of a frame of the device; late ones come out of `tick`."""
        if MUTE & self._active.keys():
            return []
        if not self._active:
            return [send]
        if self._hit("lost_frames"):
            return []
        data = self._spoilt(send.data)
        if self._hit("cut_frames"):
            data = data[: self._random.randrange(len(data))] if data else data
        if self._hit("doubled_frames"):
            data += data
        if self._held is not None and (self._held.port, self._held.peer) == (send.port, send.peer):
            data, self._held = self._held.data + data, None
        elif self._hit("merged_frames"):
            self._held = replace(send, data=data)
            return []
        frame = replace(send, data=data)
        if not data:
            return []
        if not DELAYING & self._active.keys():
            return [frame]
        due_s = now_s + (self.option("slow", "delay_s", 1.0) if "slow" in self._active else 0.0)
        for piece in self._pieces(data):
            after_s = PIECE_S if "fragmented" in self._active else 0.0
            self._free_s = min(max(self._free_s, due_s) + after_s, due_s + LATEST_S)  # a stream keeps up
            self._count += 1
            heapq.heappush(self._late, (self._free_s, self._count, replace(send, data=piece)))
        return []

    def tick(self, now_s: float) -> list[Send]:
        """Frames whose delay is over, and garbage."""
        out: list[Send] = []
        while self._late and (self._late[0][0] <= now_s or not DELAYING & self._active.keys()):
            out.append(heapq.heappop(self._late)[2])
        if self._held is not None and "merged_frames" not in self._active:
            out.append(self._held)
            self._held = None
        if "garbage" in self._active and now_s >= self._garbage_at_s:
            self._garbage_at_s = now_s + self._random.expovariate(1.0 / self.option("garbage", "every_s", 0.5))
            out.append(Send(self._random.randbytes(int(self.option("garbage", "bytes", 16)))))
        return [] if MUTE & self._active.keys() else out

    def _pieces(self, data: bytes) -> list[bytes]:
        if "fragmented" not in self._active:
            return [data]
        cuts = sorted({0, len(data), *(self._random.randrange(len(data)) for _ in range(3))})
        return [data[start:end] for start, end in pairwise(cuts)]

    def _hit(self, kind: str) -> bool:
        return kind in self._active and self._random.random() < self.option(kind, "rate", 0.3)

    def _spoilt(self, data: bytes) -> bytes:
        if "wrong_baud" in self._active:
            return self._random.randbytes(len(data))
        if "bit_flips" not in self._active:
            return data
        rate = self.option("bit_flips", "rate", 0.01)
        return bytes(byte ^ (1 << self._random.randrange(8)) if self._random.random() < rate else byte for byte in data)
