"""ThingMagic (JADAK) M6e, M7e and Nano modules: tags that pass in, frames of the Mercury serial protocol out.

A frame from the host is `FF LEN OP data CRC`, from the module `FF LEN OP STATUS data CRC`. In continuous reading each
read of a tag is a record, and a keep-alive comes every second. What public sources do not say is marked ASSUMED.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.epc import epc_crc, epc_of, pc_of
from firmware_sim.world.events import TagPassed, WorldEvent

HEAD = 0xFF
LONGEST = 248
_TABLE = tuple(0x1021 * n for n in range(16))
VERSION = bytes.fromhex("23010600 38000201 20240913 02010608 00000010")
OPCODE_UNKNOWN, INVALID = 0x0101, 0x0105
NO_TAGS, TOO_HOT, RETURN_LOSS = 0x0400, 0x0504, 0x0505
# set-up that is taken as it comes, and what it is answered
ACCEPTED = frozenset({0x04, 0x06, 0x90, 0x91, 0x92, 0x93, 0x95, 0x96, 0x97, 0x98, 0x9A, 0x9B})
READS_A_PASSAGE = 4  # ASSUMED: a tag in a gate lane is read a few times while it passes
BAUDS = (9600, 19200, 38400, 57600, 115_200, 230_400, 460_800, 921_600)
FREQUENCY_KHZ = 915_250


def crc(data: bytes) -> int:
    """Polynomial 1021 taken four bits at a time, initial FFFF, nothing appended: not the usual CCITT CRC."""
    value = 0xFFFF
    for byte in data:
        value = (value << 4 | byte >> 4) & 0xFFFF ^ _TABLE[value >> 12]
        value = (value << 4 | byte & 15) & 0xFFFF ^ _TABLE[value >> 12]
    return value


def reply(opcode: int, data: bytes = b"", status: int = 0) -> bytes:
    body = struct.pack(">BBH", len(data), opcode, status) + data
    return bytes([HEAD]) + body + struct.pack(">H", crc(body))


def tag_record(
    epc: bytes, *, metadata: int, count: int, rssi_dbm: int, antenna: int, ms: int, khz: int, check: int
) -> bytes:
    """A record of continuous reading with the metadata asked for."""
    fields = {
        0x0001: bytes([count]),
        0x0002: struct.pack(">b", rssi_dbm),
        0x0004: bytes([antenna << 4 | antenna]),
        0x0008: khz.to_bytes(3, "big"),
        0x0010: struct.pack(">I", ms & 0xFFFFFFFF),
        0x0020: struct.pack(">H", 0),
        0x0040: bytes([5]),
        0x0080: struct.pack(">H", 0),
        0x0100: bytes([0x0F]),
    }
    data = struct.pack(">BHHB", 0x10, 0x001B, metadata, 0x01)
    data += b"".join(value for flag, value in fields.items() if metadata & flag)
    data += struct.pack(">H", 8 * (len(epc) + 4)) + pc_of(epc) + epc + struct.pack(">H", check)
    return reply(0x22, data)


class ThingMagicMercury(Emulator):
    """The device core."""

    faults = frozenset({"stuck_tag", "phantom_tag", "too_hot", "return_loss", "bad_crc", "boot_loader"})

    def __init__(self, *, baud: int = 115_200, antenna: int = 1) -> None:
        self._start_baud = baud
        self._antenna = antenna
        self._status: int | None = None
        self._stuck: str | None = None
        self._is_stuck = self._bad_crc = False
        self._power_up(0.0)

    def _power_up(self, now_s: float) -> None:
        self.baud: int = self._start_baud
        self._buffer = bytearray()
        self._reading = False
        self._boot_loader = False
        self._metadata = 0
        self._alive_s = now_s
        self._again: list[tuple[float, str, int]] = []  # further reads of a passage: when, tag, strength

    def reboot(self, now_s: float) -> Output:
        """ASSUMED: a module starts without a word."""
        self._power_up(now_s)
        return []

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._buffer += data
        output: Output = []
        while True:
            start = self._buffer.find(HEAD)
            del self._buffer[: start if start >= 0 else len(self._buffer)]
            if len(self._buffer) < 5:
                break
            length = self._buffer[1]
            if length > LONGEST:
                del self._buffer[:1]
                continue
            size = length + 5
            if len(self._buffer) < size:
                break
            body = bytes(self._buffer[1 : size - 2])
            if crc(body) != int.from_bytes(self._buffer[size - 2 : size], "big"):
                del self._buffer[:1]
                continue
            del self._buffer[:size]
            output += self._command(body[1], body[2:], now_s)
        return output

    def _command(self, opcode: int, data: bytes, now_s: float) -> Output:
        if opcode == 0x03:
            return [Send(reply(opcode, VERSION))]
        if opcode == 0x06:
            baud = int.from_bytes(data, "big")
            if len(data) != 4 or baud not in BAUDS:
                return [Send(reply(opcode, status=INVALID))]
            self.baud = baud
            return [Send(reply(opcode))]
        if opcode == 0x0C:
            return [Send(reply(opcode, b"\x11" if self._boot_loader else b"\x12"))]  # low bits 1: boot loader
        if opcode == 0x04:
            self._boot_loader = False
            return [Send(reply(opcode, VERSION))]
        if self._boot_loader:
            return [Send(reply(opcode, status=OPCODE_UNKNOWN))]
        if opcode == 0x2F:
            return self._multi_read(data, now_s)
        if opcode == 0x72:
            return [Send(reply(opcode, b"\x19"))]  # degrees Celsius
        if opcode in ACCEPTED:
            return [Send(reply(opcode))]
        return [Send(reply(opcode, status=OPCODE_UNKNOWN))]

    def _multi_read(self, data: bytes, now_s: float) -> Output:
        if len(data) < 3:
            return [Send(reply(0x2F, status=INVALID))]
        option = data[2]
        if option == 2:
            self._reading = False
            self._again.clear()
            return [Send(reply(0x2F))]
        if option != 1 or len(data) < 16:
            return [Send(reply(0x2F, status=INVALID))]
        self._metadata = int.from_bytes(data[14:16], "big") & 0x01FF
        self._reading, self._alive_s = True, now_s
        return [Send(reply(0x2F))]

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if not isinstance(event, TagPassed):
            return []
        if self._is_stuck:
            self._stuck = event.tag
        for number in range(1, READS_A_PASSAGE):
            self._again.append((now_s + 0.05 * number, event.tag, -60 - 3 * number))
        return self._read(event.tag, -58, now_s)

    def _read(self, tag: str, rssi_dbm: int, now_s: float) -> Output:
        if not self._reading or self._status is not None:
            return []
        epc = epc_of(tag)
        record = tag_record(
            epc,
            metadata=self._metadata,
            count=1,
            rssi_dbm=rssi_dbm,
            antenna=self._antenna,
            ms=int((now_s - self._alive_s) * 1000),
            khz=FREQUENCY_KHZ,
            check=epc_crc(epc),
        )
        if self._bad_crc:
            record = record[:-1] + bytes([record[-1] ^ 0xFF])
        return [Send(record)]

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        output: Output = []
        due = [entry for entry in self._again if entry[0] <= now_s]
        self._again = [entry for entry in self._again if entry[0] > now_s]
        for _, tag, rssi_dbm in sorted(due):
            output += self._read(tag, rssi_dbm, now_s)
        if self._is_stuck and self._stuck is not None and not self._again:
            self._again.append((now_s + 0.5, self._stuck, -55))
        if self._reading and now_s - self._alive_s >= 1.0:
            self._alive_s = now_s
            output.append(Send(reply(0x22, status=self._status or NO_TAGS)))
        return output

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "stuck_tag":
                self._is_stuck, self._stuck = active, str(options["tag"]) if active and "tag" in options else None
            case "phantom_tag" if active:
                return self._read(str(options.get("tag", "30000000000000000000DEAD")), -70, now_s)
            case "boot_loader" if active:
                self._boot_loader, self._reading = True, False  # as after a watchdog, until a host boots it
            case "too_hot" | "return_loss":
                self._status = (TOO_HOT if kind == "too_hot" else RETURN_LOSS) if active else None
            case "bad_crc":
                self._bad_crc = active
        return []
