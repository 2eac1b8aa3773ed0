"""What drivers say: plain immutable events, the only thing that crosses from drivers/ to edge/.

Times are UTC in integer nanoseconds (`time_ns`). An event carries what the device sent and nothing derived.
Identifiers (tags, plates) are in clear here and live in memory only; edge/ turns them into pseudonyms before
anything is stored, logged or sent, so `repr` hides them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loading it takes longer than all the rest, and not everyone who hears of events has samples
    import numpy as np
    import numpy.typing as npt


class LinkState(StrEnum):
    """State of a device as its driver sees it."""

    CONNECTING = "connecting"
    ONLINE = "online"
    SILENT = "silent"  # the link stands, the device says nothing
    DOWN = "down"  # no link


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Consecutive scans of a streaming digitiser.

    `samples` is int16, shape (scans, channels), C-contiguous, channels in the order of the configured scan list.
    `time_ns` belongs to the first scan and comes from the device's own clock; `rate_hz` is that clock's estimated
    true rate. `first_scan` counts scans since the stream began, lost ones included: `lost_scans` of them are
    missing directly before this block. `stream` changes whenever the device began a new stream.
    """

    device: str
    time_ns: int
    rate_hz: float
    stream: int
    first_scan: int
    lost_scans: int
    samples: npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class TagRead:
    """An RFID tag was read. `rssi_dbm` and `antenna` where the reader says them."""

    device: str
    time_ns: int
    tag: str = field(repr=False)
    antenna: int | None = None
    rssi_dbm: float | None = None


@dataclass(frozen=True, slots=True)
class PlateRead:
    """A licence plate was read; `confidence` 0..1, `country` as the reader writes it.

    `reader_ns` is what the reader's own clock showed, taken for UTC whatever its zone is: only how it changes against
    `time_ns` says something.
    """

    device: str
    time_ns: int
    plate: str = field(repr=False)
    country: str | None = None
    confidence: float | None = None
    reader_ns: int | None = None


@dataclass(frozen=True, slots=True)
class InputChange:
    """A digital input (loop, photocell, limit switch, lamp feedback) changed, or was seen for the first time.

    `count` is the device's own counter of that input where it has one: a step of more than one tells of pulses
    between two polls.
    """

    device: str
    time_ns: int
    name: str
    on: bool
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A slow analogue value, for example a pavement temperature; `unit` as in `_c`, `_kg`."""

    device: str
    time_ns: int
    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The state of a device changed; `text` says where and what to do, in words for a person at 3 a.m.

    It is made of `reason`, what happened, and a remedy: `remedy` names the one of drivers/remedies.py, and is empty
    where the reason says itself what to do.
    """

    device: str
    time_ns: int
    state: LinkState
    text: str = ""
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that were no valid frame were thrown away; `reason` is a short stable word such as `bad_crc`."""

    device: str
    time_ns: int
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Heard:
    """After something was rejected, the device said something valid again."""

    device: str
    time_ns: int


Event = SampleBlock | TagRead | PlateRead | InputChange | Measurement | DeviceState | Rejected | Heard
