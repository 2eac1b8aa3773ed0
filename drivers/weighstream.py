"""Weights of a transmitter or indicator as a sample stream, so that plates and scales go the way of the digitisers.

In come values in the device's unit, out come `SampleBlock`s of one channel, and of one more for each contact that a
device samples with its weight; drivers of weighing devices call it.
A sample is `value / per_count`, rounded and held within 16 bits; `gain_n` of the lane's sensor is then the force of
one count: with 10 kg a count, 98.07 N.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.events import SampleBlock
from drivers.sampleclock import ToldRate


def counts(
    values: Sequence[float], per_count: float, contacts: Sequence[Sequence[bool]] = ()
) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """Values as int16, shape (values, 1); what is too large stands at the end of the range.

    `contacts`, one row a value, become further channels of 0 and 1.
    """
    scaled = np.rint(np.asarray(values, np.float64).reshape(-1, 1) / per_count)
    weights = np.clip(scaled, -32768.0, 32767.0).astype(np.int16)
    return np.hstack([weights, np.asarray(contacts, np.int16)]) if contacts else weights


class PushStream:
    """For a device that sends at its own pace: its clock is found by regression.

    Where it sends at another rate than was told, a new stream with the true one begins.
    """

    def __init__(self, device: str, per_count: float) -> None:
        self._device = device
        self._per_count = per_count
        self._stream = 0
        self._next_scan = 0
        self._told_hz = 1.0
        self._rate = ToldRate()

    def begin(self, nominal_hz: float) -> None:
        """The device begins to send."""
        self._stream += 1
        self._next_scan = 0
        self._told_hz = nominal_hz
        self._rate.begin(nominal_hz)

    def block(
        self, values: Sequence[float], time_ns: int, lost: int = 0, contacts: Sequence[Sequence[bool]] = ()
    ) -> SampleBlock:
        """Values that arrived together at `time_ns`; `lost` are missing before them. `contacts`: see `counts`."""
        first = self._next_scan + lost
        self._next_scan = first + len(values)
        self._rate.clock.note(self._next_scan, time_ns)
        if self._rate.learn():
            self.begin(self._told_hz)
            return self.block(values, time_ns, 0, contacts)
        samples = counts(values, self._per_count, contacts)
        clock = self._rate.clock
        return SampleBlock(self._device, clock.time_ns(first), clock.rate_hz, self._stream, first, lost, samples)


_BRIDGED_S = 0.5  # a wheel is on a plate for longer than this at the speeds that suit a polled device


class PollStream:
    """For a device that is asked at a fixed rate: the host's clock is the sample clock.

    Polls that came late leave scans without a reading. The weight is taken to have gone evenly meanwhile: to
    report them as lost would end the weighing of the vehicle on the plate. What is longer is lost.
    """

    def __init__(self, device: str, per_count: float, poll_hz: float) -> None:
        self._device = device
        self._per_count = per_count
        self._poll_hz = poll_hz
        self._most_bridged = max(2, int(_BRIDGED_S * poll_hz))
        self._stream = 0
        self._begin_ns = 0
        self._next_scan = 0
        self._last = 0.0

    def begin(self, time_ns: int) -> None:
        """The polling begins."""
        self._stream += 1
        self._begin_ns = time_ns
        self._next_scan = 0

    def block(self, value: float, time_ns: int) -> SampleBlock | None:
        """A value read at `time_ns`, after those of late polls. None where it falls into the last scan."""
        if self._next_scan == 0:
            self._begin_ns = time_ns
        scan = round((time_ns - self._begin_ns) * 1e-9 * self._poll_hz)
        missing = scan - self._next_scan
        if missing < 0:
            if missing > -2 * self._poll_hz:
                return None
            self.begin(time_ns)  # the host's clock was set back
            scan = missing = 0
        bridged = missing if self._next_scan > 0 and missing <= self._most_bridged else 0
        values = np.linspace(self._last, value, bridged + 2)[1:].tolist()
        self._next_scan = scan + 1
        self._last = value
        start_ns = time_ns - round(bridged / self._poll_hz * 1e9)
        samples = counts(values, self._per_count)
        return SampleBlock(
            self._device, start_ns, self._poll_hz, self._stream, scan - bridged, missing - bridged, samples
        )
