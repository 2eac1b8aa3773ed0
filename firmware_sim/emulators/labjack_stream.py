"""The running stream of a LabJack T7: scans of a lane in, packets out; owned by `labjack_t7.py`.

The device's buffer is here: while the host does not take packets it fills, then scans are skipped (auto-recovery), and
a dummy scan with the number of missing ones stands where they were. What the datasheet does not say is marked ASSUMED.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware_sim.emulators.base import Samples

CORE_TIMER_HZ = 40_000_000  # half of the core clock

FIO_STATE, EIO_STATE, FIO_EIO_STATE = 2500, 2501, 2580
CORE_TIMER, CAPTURE_16 = 61520, 4899
AIN_END = 510  # addresses below are analogue inputs

AUTO_RECOVER_ACTIVE = 2940
AUTO_RECOVER_END = 2941
SCAN_OVERLAP = 2942
AUTO_RECOVER_END_OVERFLOW = 2943
BURST_COMPLETE = 2944
STREAM_BUFFER_FULL = 2945

DUMMY = 0xFFFF  # a scan of these stands where scans were skipped; no analogue input ever reads it
OPEN_INPUT = 33523  # raw value of 0 V, near which an input reads that is wired to nothing
_HEADER = struct.Struct(">HHHBBBBHHH")


def streamable(address: int) -> bool:
    """Whether a register can stand in a scan list."""
    even_input = address < AIN_END and address % 2 == 0
    return even_input or address in (FIO_STATE, EIO_STATE, FIO_EIO_STATE, CORE_TIMER, CAPTURE_16)


def stream_packet(transaction: int, backlog_bytes: int, status: int, info: int, data: bytes) -> bytes:
    """A spontaneous stream packet; `data` are the samples, big-endian."""
    return _HEADER.pack(transaction, 0, 10 + len(data), 1, 76, 16, 0, min(backlog_bytes, 0xFFFF), status, info) + data


@dataclass(slots=True)
class ScanStream:
    """A running stream, from STREAM_ENABLE = 1 until it is stopped or `ended`.

    `analog` and `digital` are the lane's channels behind AIN0, AIN1, ... and FIO0, FIO1, ...
    """

    samples: Samples
    analog: Sequence[int]
    digital: Sequence[int]
    addresses: tuple[int, ...]
    rate_hz: float  # as the device believes
    samples_per_packet: int
    buffer_bytes: int
    spontaneous: bool
    burst_scans: int  # 0: continuous
    recover: bool  # False: a full buffer ends the stream
    timer: int  # core timer at the first scan
    last_status: int = 0  # carried by the next packet, after which the stream ends
    skip_packets: int = 0  # numbered and thrown away, by a fault
    ended: bool = False
    _position: float = 0.0  # the world's scan that the next scan of the device shows
    _taken: int = 0  # scans since the start, skipped ones included
    _skipped: int = 0  # of these since recovery began
    _recovering: bool = False
    _transaction: int = 0
    _queue: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    _dummy_at: int | None = None  # place in the queue of the scan that marks the end of recovery
    _dummy_info: int = 0

    def __post_init__(self) -> None:
        self._position = float(self.samples.ready())

    def run(self, blocked: bool, drift: float) -> list[bytes]:
        """Take the scans that are due, at `drift` times the usual rate; the packets that go out unless `blocked`."""
        blocked = blocked or not self.spontaneous
        step = self.samples.nominal_hz / self.rate_hz / drift  # world scans for one of the device
        fresh = int((self.samples.ready() - self._position) / step)
        if self.burst_scans:
            fresh = min(fresh, self.burst_scans - self._taken)
        output = [] if blocked else self._packets()
        while fresh > 0 and not self._recovering:
            # a host that reads is sent what fills a packet before more is taken, however late this call comes
            count = min(fresh, (self.buffer_bytes // 2 - len(self._queue)) // len(self.addresses))
            if count:
                self._take(count, step)
                fresh -= count
                if not blocked:
                    output += self._packets()
            else:
                self._recovering = True
                if not self.recover:
                    self.last_status = STREAM_BUFFER_FULL
        if self._recovering and fresh > 0:
            self._skipped += fresh
            self._taken += fresh
            self._position += fresh * step
        if not blocked:
            output += self._packets()
            if self._recovering and len(self._queue) < self.samples_per_packet:
                self._resume()
            if self.last_status or (self.burst_scans and self._taken >= self.burst_scans):
                output.append(self._last_packet())
        return output

    def command_response(self, count: int) -> list[int]:
        """What `count` registers from STREAM_DATA_CR on give: samples, backlog, status, information, the samples."""
        wanted = min(max(count - 4, 0), len(self._queue)) // len(self.addresses) * len(self.addresses)
        status, info, data = self._cut(wanted)
        reply = [wanted, 2 * len(self._queue), status, info, *struct.unpack(f">{wanted}H", data)]
        if self._recovering and not len(self._queue):
            self._resume()
        return (reply + [0] * count)[:count]

    def _take(self, count: int, step: float) -> None:
        """Put `count` scans into the buffer as the wire has them."""
        first = self._position
        if step == 1.0:
            scans = self.samples.take(int(first), count)
        else:
            picks = np.floor(first + step * np.arange(count)).astype(np.int64)
            scans = self.samples.take(int(picks[0]), int(picks[-1] - picks[0]) + 1)[picks - picks[0]]
        table = np.full((count, len(self.addresses)), OPEN_INPUT, np.uint16)
        lines = timer = None
        for place, address in enumerate(self.addresses):
            if address < AIN_END:
                if address // 2 < len(self.analog):
                    raw = scans[:, self.analog[address // 2]].view(np.uint16) ^ 0x8000
                    table[:, place] = np.minimum(raw, DUMMY - 1)
            elif address in (CORE_TIMER, CAPTURE_16):
                timer = self._timer_of(count) if timer is None else timer
                table[:, place] = timer & 0xFFFF if address == CORE_TIMER else timer >> 16
            else:
                lines = self._lines_of(scans) if lines is None else lines
                table[:, place] = {FIO_STATE: lines & 0xFF, EIO_STATE: lines >> 8, FIO_EIO_STATE: lines}[address]
        self._queue = np.concatenate((self._queue, table.ravel()))
        self._taken += count
        self._position = first + count * step

    def _timer_of(self, count: int) -> npt.NDArray[np.int64]:
        """The core timer at the next `count` scans."""
        ticks = np.arange(self._taken, self._taken + count) * (CORE_TIMER_HZ / self.rate_hz)
        return (self.timer + ticks.astype(np.int64)) & 0xFFFFFFFF

    def _lines_of(self, scans: npt.NDArray[np.int16]) -> npt.NDArray[np.uint16]:
        """FIO and EIO at each scan: those that are wired to nothing are pulled up."""
        lines = np.full(len(scans), 0xFFFF, np.uint16)
        for line, channel in enumerate(self.digital):
            lines[scans[:, channel] == 0] &= ~(1 << line) & 0xFFFF
        return lines

    def _resume(self) -> None:
        """Take scans again: a dummy scan separates old ones from new, the packet with it says how many are missing.

        ASSUMED, as documented for an older device of the vendor: the dummy scan stands for one of the missing ones.
        """
        if self._skipped > 0xFFFF:
            self.last_status = AUTO_RECOVER_END_OVERFLOW
            return
        self._dummy_at, self._dummy_info = len(self._queue), self._skipped
        self._queue = np.concatenate((self._queue, np.full(len(self.addresses), DUMMY, np.uint16)))
        self._recovering, self._skipped = False, 0

    def _packets(self) -> list[bytes]:
        """The full packets in the buffer."""
        output: list[bytes] = []
        while len(self._queue) >= self.samples_per_packet:
            status, info, data = self._cut(self.samples_per_packet)
            number, self._transaction = self._transaction, self._transaction + 1 & 0xFFFF
            if self.skip_packets:
                self.skip_packets -= 1
            else:
                output.append(stream_packet(number, 2 * len(self._queue), status, info, data))
        return output

    def _cut(self, count: int) -> tuple[int, int, bytes]:
        """Status, additional information and bytes of the next `count` samples."""
        status, info = (AUTO_RECOVER_ACTIVE, 0) if self._recovering else (0, 0)
        if self._dummy_at is not None:
            if self._dummy_at < count:
                status, info, self._dummy_at = AUTO_RECOVER_END, self._dummy_info, None
            else:
                self._dummy_at -= count
        data = self._queue[:count].astype(">u2").tobytes()
        self._queue = self._queue[count:]
        return status, info, data

    def _last_packet(self) -> bytes:
        """The packet of a stream that ends by itself: filled up with zeros (ASSUMED), its status says why."""
        left = min(len(self._queue), self.samples_per_packet)
        _, _, data = self._cut(left)
        data += bytes(2 * (self.samples_per_packet - left))
        status = self.last_status or BURST_COMPLETE
        self.ended = True
        return stream_packet(self._transaction, 0, status, left if status == BURST_COMPLETE else 0, data)
