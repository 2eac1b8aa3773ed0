"""EPC LLRP reader (as Impinj and Zebra make them): tags that pass in, LLRP messages over TCP out.

Version 1.0.1 of the protocol, big-endian; what a client needs for an inventory: capabilities, configuration, ROSpecs
with immediate or commanded start, tag reports with the fields selected, keep-alives. One client at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Send
from firmware_sim.emulators.epc import epc_crc, epc_of, pc_of
from firmware_sim.world.events import TagPassed, WorldEvent

HEADER = struct.Struct(">HII")  # version and type, length, message id
VERSION = 0x0400
LONGEST = 1 << 20
SUCCESS, PARAMETER_ERROR, UNSUPPORTED_MESSAGE, INVALID = 0, 100, 109, 300
READ_AGAIN_S = 0.2
BUFFERED = 500  # reports kept for a client that fetches them

GET_CAPABILITIES, GET_CONFIG, SET_CONFIG, CLOSE = 1, 2, 3, 14
ADD, DELETE, START, STOP, ENABLE, DISABLE, GET_ROSPECS = 20, 21, 22, 23, 24, 25, 26
ACCESS_SPECS = frozenset({40, 41, 42, 43, 44})
GET_REPORT, REPORT, KEEPALIVE, EVENT, ENABLE_EVENTS, KEEPALIVE_ACK, ERROR = 60, 61, 62, 63, 64, 72, 100
NO_REPLY = frozenset({ENABLE_EVENTS, KEEPALIVE_ACK})

# bits of the content selector and the parameters that they ask for
ROSPEC_ID, SPEC_INDEX, INVENTORY_ID, ANTENNA, CHANNEL, RSSI, FIRST_SEEN, LAST_SEEN, SEEN_COUNT, ACCESS_ID = (
    0x8000 >> place for place in range(10)
)
MEMORY_CRC, MEMORY_PC = 0x80, 0x40


def message(kind: int, number: int, body: bytes = b"") -> bytes:
    return HEADER.pack(VERSION | kind, HEADER.size + len(body), number) + body


def tlv(kind: int, body: bytes = b"") -> bytes:
    return struct.pack(">HH", kind, 4 + len(body)) + body


def status(code: int = SUCCESS, text: bytes = b"") -> bytes:
    """LLRPStatus."""
    return tlv(287, struct.pack(">HH", code, len(text)) + text)


def parameters(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The TLV parameters in `data`; ends at the first thing that is none."""
    place = 0
    while len(data) - place >= 4:
        kind, length = struct.unpack_from(">HH", data, place)
        if kind & 0x8000 or length < 4 or place + length > len(data):
            return
        yield kind & 0x3FF, data[place + 4 : place + length]
        place += length


def event_connected(time_us: int, result: int = 0) -> bytes:
    """READER_EVENT_NOTIFICATION with a ConnectionAttemptEvent; result 0 is success, 2 that another client is there."""
    body = tlv(128, struct.pack(">Q", time_us)) + tlv(256, struct.pack(">H", result))
    return message(EVENT, 0, tlv(246, body))


def event_antenna(time_us: int, antenna: int, connected: bool) -> bytes:
    """READER_EVENT_NOTIFICATION with an AntennaEvent."""
    body = tlv(128, struct.pack(">Q", time_us)) + tlv(255, struct.pack(">BH", connected, antenna))
    return message(EVENT, 0, tlv(246, body))


@dataclass(slots=True)
class _Spec:
    """A ROSpec: what it asks for, and whether it runs."""

    number: int
    raw: bytes
    immediate: bool
    report_each: int  # tags in a report; 0: only when asked for
    content: int
    memory: int
    enabled: bool = False
    active: bool = False


def _spec(raw: bytes) -> _Spec | None:
    """The ROSpec in the body of its parameter, or None where it cannot be one."""
    if len(raw) < 6:
        return None
    number = int.from_bytes(raw[:4], "big")
    immediate, report_each, content, memory = False, 1, 0, 0
    for kind, body in parameters(raw[6:]):
        if kind == 178:
            immediate = any(inner == 179 and data[:1] == b"\x01" for inner, data in parameters(body))
        elif kind == 237 and len(body) >= 3:
            trigger, count = struct.unpack_from(">BH", body)
            report_each = max(count, 1) if trigger else 0
            for inner, data in parameters(body[3:]):
                if inner == 238 and len(data) >= 2:
                    content = int.from_bytes(data[:2], "big")
                    memory = next((flags[0] for k, flags in parameters(data[2:]) if k == 348 and flags), 0)
    return _Spec(number, raw, immediate, report_each, content, memory) if number else None


def capabilities(antennas: int) -> bytes:
    """The capability parameters of a small North American reader."""
    general = struct.pack(">HHIIH", antennas, 0x4000, 25882, 2001002, 5) + b"5.8.0"
    general += tlv(139, struct.pack(">Hh", 1, 0)) + tlv(141, struct.pack(">HH", 4, 4))
    general += b"".join(tlv(140, struct.pack(">HHB", n + 1, 1, 1)) for n in range(antennas))
    limits = struct.pack(">BBHIIIII", 0, 0, 0, 1, 32, 1, 1508, 8)
    powers = b"".join(tlv(145, struct.pack(">Hh", n + 1, 1000 + 25 * n)) for n in range(81))
    hops = struct.pack(">BBH50I", 1, 0, 50, *(902_750 + 500 * n for n in range(50)))
    band = powers + tlv(146, b"\x80" + tlv(147, hops))
    mode = struct.pack(">IBBBBIIIII", 1000, 0x40, 2, 2, 2, 40_000, 1500, 6250, 6250, 0)
    band += tlv(328, tlv(329, mode))
    region = struct.pack(">HH", 840, 1) + tlv(144, band)
    return tlv(137, general) + tlv(142, limits) + tlv(143, region) + tlv(327, struct.pack(">BH", 0x40, 2))


class Llrp(Emulator):
    """The device core. `clock` gives the time that the reader's clock shows at a world time."""

    faults = frozenset({"stuck_tag", "phantom_tag", "clock_step", "antenna_lost"})

    def __init__(self, clock: Callable[[float], datetime], *, antennas: int = 2, reads: int = 3) -> None:
        self._clock = clock
        self._antennas = antennas
        self._reads = max(1, reads)  # ASSUMED: times that a tag is read while it passes
        self._step_us = 0
        self._is_stuck, self._stuck = False, ""
        self._power_up()

    def _power_up(self) -> None:
        self._tells_antennas = False  # only to a client that asked for it
        self._client: int | None = None
        self._buffer = bytearray()
        self._specs: dict[int, _Spec] = {}
        self._reports: list[bytes] = []
        self._keepalive_s: float | None = None
        self._alive_s = 0.0
        self._number = 0
        self._again: list[tuple[float, str, int]] = []

    def reboot(self, now_s: float) -> Output:
        self._power_up()
        return [Hangup(MAIN)]

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        if self._client is not None:
            return [Send(event_connected(self._time_us(now_s), 2), MAIN, peer), Hangup(MAIN, peer)]
        self._client = peer
        self._buffer.clear()
        return [Send(event_connected(self._time_us(now_s)), MAIN, peer)]

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        if peer == self._client:
            self._client, self._keepalive_s = None, None
            self._specs.clear()

    def _time_us(self, now_s: float) -> int:
        return int(self._clock(now_s).timestamp() * 1e6) + self._step_us

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        if peer != self._client:
            return []
        self._buffer += data
        output: Output = []
        while len(self._buffer) >= HEADER.size:
            head, length, number = HEADER.unpack_from(self._buffer)
            if not HEADER.size <= length <= LONGEST or head >> 10 & 7 not in (1, 2):
                return [*output, Hangup(MAIN, peer)]
            if len(self._buffer) < length:
                break
            body = bytes(self._buffer[HEADER.size : length])
            del self._buffer[:length]
            output += self._message(head & 0x3FF, number, body, now_s)
        return output

    def _message(self, kind: int, number: int, body: bytes, now_s: float) -> Output:
        if kind in NO_REPLY:
            return []
        if kind == CLOSE:
            return [self._say(message(4, number, status())), Hangup(MAIN, self._client)]
        if kind == GET_REPORT:
            return self._flush()
        if kind == GET_CAPABILITIES:
            return [self._say(message(kind + 10, number, status() + capabilities(self._antennas)))]
        if kind == GET_CONFIG:
            antennas = b"".join(tlv(221, struct.pack(">BHh", 0x80, n + 1, 0)) for n in range(self._antennas))
            return [self._say(message(kind + 10, number, status() + tlv(217, struct.pack(">HH", 1, 3)) + antennas))]
        if kind == SET_CONFIG:
            for inner, data in parameters(body[1:]):
                if inner == 220 and len(data) >= 5:
                    period_ms = int.from_bytes(data[1:5], "big")
                    self._keepalive_s = period_ms / 1000 if data[0] == 1 and period_ms else None
                    self._alive_s = now_s
                elif inner == 244:
                    states = [state for kind_, state in parameters(data) if kind_ == 245]
                    self._tells_antennas = any(state[:2] == b"\x00\x08" and state[2] & 0x80 for state in states)
            return [self._say(message(kind + 10, number, status()))]
        if kind in ACCESS_SPECS:
            return [self._say(message(kind + 10, number, status()))]
        if kind in (ADD, DELETE, START, STOP, ENABLE, DISABLE):
            return [self._say(message(kind + 10, number, self._rospec(kind, body)))]
        if kind == GET_ROSPECS:
            specs = b"".join(tlv(177, spec.raw) for spec in self._specs.values())
            return [self._say(message(kind + 10, number, status() + specs))]
        return [self._say(message(ERROR, number, status(UNSUPPORTED_MESSAGE, b"unsupported message")))]

    def _rospec(self, kind: int, body: bytes) -> bytes:
        """Act on a message about ROSpecs; the LLRPStatus of the reply."""
        if kind == ADD:
            spec = next((_spec(raw) for inner, raw in parameters(body) if inner == 177), None)
            if spec is None:
                return status(PARAMETER_ERROR, b"no ROSpec")
            if spec.number in self._specs:
                return status(INVALID, b"ROSpec exists")
            self._specs[spec.number] = spec
            return status()
        if len(body) < 4:
            return status(PARAMETER_ERROR, b"no ROSpecID")
        number = int.from_bytes(body[:4], "big")
        if number == 0 and kind in (DELETE, ENABLE, DISABLE):
            chosen = list(self._specs.values())
        elif number in self._specs:
            chosen = [self._specs[number]]
        else:
            return status(INVALID, b"no such ROSpec")
        for spec in chosen:
            if kind == START and not spec.enabled:
                return status(INVALID, b"ROSpec is disabled")
            match kind:
                case 21:
                    del self._specs[spec.number]
                case 22:
                    spec.active = True
                case 23:
                    spec.active = False
                case 24:
                    spec.enabled, spec.active = True, spec.immediate
                case 25:
                    spec.enabled = spec.active = False
        return status()

    # --- tags

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if not isinstance(event, TagPassed):
            return []
        if self._is_stuck:
            self._stuck = event.tag
        for again in range(1, self._reads):
            self._again.append((now_s + READ_AGAIN_S * again, event.tag, -54 - 4 * again))
        return self._read(event.tag, -52, now_s)

    def _read(self, tag: str, rssi_dbm: int, now_s: float) -> Output:
        spec = next((spec for spec in self._specs.values() if spec.active), None)
        if spec is None or self._client is None:
            return []
        self._reports = [*self._reports[-BUFFERED:], self._report(spec, tag, rssi_dbm, now_s)]
        return self._flush() if spec.report_each and len(self._reports) >= spec.report_each else []

    def _report(self, spec: _Spec, tag: str, rssi_dbm: int, now_s: float) -> bytes:
        epc, time_us = epc_of(tag), self._time_us(now_s)
        data = b"\x8d" + epc if len(epc) == 12 else tlv(241, struct.pack(">H", 8 * len(epc)) + epc)
        fields = {
            ROSPEC_ID: struct.pack(">BI", 0x89, spec.number),
            SPEC_INDEX: struct.pack(">BH", 0x8E, 1),
            INVENTORY_ID: struct.pack(">BH", 0x8A, 1),
            ANTENNA: struct.pack(">BH", 0x81, 1),
            RSSI: struct.pack(">Bb", 0x86, rssi_dbm),
            CHANNEL: struct.pack(">BH", 0x87, 25),
            FIRST_SEEN: struct.pack(">BQ", 0x82, time_us),
            LAST_SEEN: struct.pack(">BQ", 0x84, time_us),
            SEEN_COUNT: struct.pack(">BH", 0x88, 1),
            ACCESS_ID: struct.pack(">BI", 0x90, 0),
        }
        data += b"".join(value for flag, value in fields.items() if spec.content & flag)
        if spec.memory & MEMORY_PC:
            data += b"\x8c" + pc_of(epc)
        if spec.memory & MEMORY_CRC:
            data += struct.pack(">BH", 0x8B, epc_crc(epc))
        return tlv(240, data)

    def _flush(self) -> Output:
        reports, self._reports = self._reports, []
        return [self._say(self._numbered(REPORT, b"".join(reports)))]

    def _numbered(self, kind: int, body: bytes = b"") -> bytes:
        self._number = self._number + 1 & 0xFFFFFFFF
        return message(kind, self._number, body)

    def _say(self, data: bytes) -> Send:
        return Send(data, MAIN, self._client)

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        output: Output = []
        due = sorted(entry for entry in self._again if entry[0] <= now_s)
        self._again = [entry for entry in self._again if entry[0] > now_s]
        for _, tag, rssi_dbm in due:
            output += self._read(tag, rssi_dbm, now_s)
        if self._is_stuck and self._stuck and not self._again:
            self._again.append((now_s + 0.5, self._stuck, -50))
        if self._client is not None and self._keepalive_s is not None and now_s - self._alive_s >= self._keepalive_s:
            self._alive_s = now_s
            output.append(self._say(self._numbered(KEEPALIVE)))
        return output

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "stuck_tag":
                self._is_stuck, self._stuck = active, str(options.get("tag", "")) if active else ""
            case "phantom_tag" if active:
                return self._read(str(options.get("tag", "30000000000000000000DEAD")), -70, now_s)
            case "antenna_lost" if self._tells_antennas and self._client is not None:
                antenna = int(options.get("antenna", 1))
                return [self._say(event_antenna(self._time_us(now_s), antenna, not active))]
            case "clock_step":
                self._step_us = int(float(options.get("step_s", 3600.0)) * 1e6) if active else 0
        return []
