"""The one door to the C core (csrc/): NumPy buffers in, plain Python values out.

Called by the lane pipeline (`Wim`) and by the waits (`Matcher`, `QueueFilter`). Nothing else touches cffi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge import _core

ffi, lib = _core.ffi, _core.lib


class CoreError(ValueError):
    """The core refused an argument; the text says which and why."""


def _check(status: int, detail: str = "") -> None:
    if status != lib.BF_OK:
        text = ffi.string(lib.bf_strerror(status)).decode()
        raise CoreError(f"{detail}: {text}" if detail else text)


# ---- waits: matching and queue ----------------------------------------------------------------------------------

PLATE_ROW: int = lib.BF_PLATE_ROW
AXLE_FEATURES: int = lib.BF_AXLE_FEATURES
AXLE_MOST: int = lib.BF_AXLE_MOST
TAG, PLATE, AXLES = 1, 2, 4  # what was read of a passage, as a bit mask


def encode_plate(text: str) -> npt.NDArray[np.uint8]:
    """Row of a plate for `PlateTable.compare`; its last byte is the number of characters kept."""
    row = np.zeros(PLATE_ROW, np.uint8)
    raw = text.encode("ascii", "replace")
    lib.bf_plate_encode(raw, len(raw), ffi.from_buffer("uint8_t[]", row, require_writable=True))
    return row


class PlateTable:
    """Compares plates by the confusion tables of two readers."""

    def __init__(
        self, *, error_upstream: float = 0.012, error_downstream: float = 0.012, gap: float = 0.002, fleet: float = 0.03
    ) -> None:
        handle = lib.bf_plates_create(error_upstream, error_downstream, gap, fleet)
        if handle == ffi.NULL:
            raise CoreError("plate table: an error rate is outside its range")
        self._handle = ffi.gc(handle, lib.bf_plates_free)

    def compare(self, query: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Ln likelihood ratio "one vehicle" against "another of this traffic", one for each of `rows` (n, 16)."""
        llr = np.empty(len(rows), np.float32)
        status = lib.bf_plates_compare(
            self._handle,
            ffi.from_buffer("uint8_t[]", query),
            ffi.from_buffer("uint8_t[]", rows),
            len(rows),
            ffi.from_buffer("float[]", llr),
            ffi.NULL,
        )
        _check(status, "plates")
        return llr


def compare_axles(
    query: npt.NDArray[np.float32],
    rows: npt.NDArray[np.float32],
    *,
    spacing_sd: float,
    load_sd: float,
    scale: float = 1.0,
) -> npt.NDArray[np.float32]:
    """Log-likelihood of one vehicle for each of `rows` (n, 24); see bf_axles_compare for rows and special values."""
    loglik = np.empty(len(rows), np.float32)
    status = lib.bf_axles_compare(
        ffi.from_buffer("float[]", query),
        ffi.from_buffer("float[]", rows),
        len(rows),
        spacing_sd,
        load_sd,
        scale,
        ffi.from_buffer("float[]", loglik),
    )
    _check(status, "axles")
    return loglik


@dataclass(frozen=True, slots=True)
class Departure:
    """What the queue filter says about one departure; see bf_departure."""

    pos: int
    p: float
    wait_s: float
    mean_s: float
    sd_s: float
    p_unlisted: float
    p_elsewhere: float
    p_busy: float
    in_order: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the queue filter expects; see bf_forecast. `waits_s` are sorted samples."""

    waits_s: npt.NDArray[np.float64]
    p10_s: float
    p50_s: float
    p90_s: float
    queue_n: float
    queue_sd_n: float
    free_flow_s: float
    cycle_s: float
    cycle_sd_s: float
    skip: float
    unlisted: float
    phantom: float
    free_flow_n: float
    entries_since: float
    departures: int
    learned_cycles: int


class QueueFilter:
    """The queue of one lane between two points."""

    def __init__(self, *, capacity: int, free_flow_s: float, free_flow_sd_ln: float, cycle_s: float) -> None:
        handle = lib.bf_queue_create(capacity, free_flow_s, free_flow_sd_ln, cycle_s)
        if handle == ffi.NULL:
            raise CoreError("queue: capacity must be a power of two in 16..65536, and the times sensible")
        self._handle = ffi.gc(handle, lib.bf_queue_free)
        self._pos = ffi.new("int64_t *")
        self._departure = ffi.new("bf_departure *")
        self._forecast = ffi.new("bf_forecast *")
        self._mask_llr = ffi.new("double[8]")

    def enter(self, time_ns: int) -> int:
        """A vehicle passed the upstream point; returns its number."""
        _check(lib.bf_queue_enter(self._handle, time_ns, self._pos), "queue")
        return int(self._pos[0])

    def mark(self, pos: int, read: int, *, gone: bool = False) -> None:
        """`read` (TAG | PLATE | AXLES) was read of that passage; `gone`: it will not depart here any more."""
        _check(lib.bf_queue_mark(self._handle, pos, read, gone), "queue")

    def booths(self, number: float) -> None:
        """That many booths are open; 0 while the lane is closed."""
        _check(lib.bf_queue_booths(self._handle, number), "queue")

    def depart(
        self,
        time_ns: int,
        pos: npt.NDArray[np.int64],
        llr: npt.NDArray[np.float32],
        mask_llr: Sequence[float],
        elsewhere: float,
    ) -> Departure:
        """A vehicle arrived downstream, with what its identities say about the passages `pos`."""
        self._mask_llr[0:8] = mask_llr
        status = lib.bf_queue_depart(
            self._handle,
            time_ns,
            ffi.from_buffer("int64_t[]", pos),
            ffi.from_buffer("float[]", llr),
            len(pos),
            self._mask_llr,
            elsewhere,
            self._departure,
        )
        _check(status, "queue")
        d = self._departure
        return Departure(
            d.pos, d.p, d.wait_s, d.mean_s, d.sd_s, d.p_unlisted, d.p_elsewhere, d.p_busy, bool(d.in_order)
        )

    def predict(self, time_ns: int, samples: int = 200) -> Forecast:
        """The wait of a vehicle that enters at `time_ns`."""
        waits = np.empty(samples, np.float64)
        status = lib.bf_queue_predict(
            self._handle, time_ns, samples, ffi.from_buffer("double[]", waits), self._forecast
        )
        _check(status, "queue")
        f = self._forecast
        return Forecast(
            waits, f.p10_s, f.p50_s, f.p90_s, f.queue_n, f.queue_sd_n, f.free_flow_s, f.cycle_s, f.cycle_sd_s,
            f.skip, f.unlisted, f.phantom, f.free_flow_n, f.entries_since, f.departures, f.learned_cycles,
        )  # fmt: skip
