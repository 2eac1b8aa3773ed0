"""The one door to the C core (csrc/): NumPy buffers in, plain Python values out.

Called by the lane pipeline (`Wim`) and by the waits (`Matcher`, `QueueFilter`). Nothing else touches cffi.
"""

from __future__ import annotations

import itertools
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edge import _core, config

if TYPE_CHECKING:  # loading it takes longer than all the rest, and waits have no samples
    import numpy as np
    import numpy.typing as npt

ffi, lib = _core.ffi, _core.lib


class CoreError(ValueError):
    """The core refused an argument; the text says which and why."""


def _check(status: int, detail: str = "") -> None:
    if status != lib.BF_OK:
        text = ffi.string(lib.bf_strerror(status)).decode()
        raise CoreError(f"{detail}: {text}" if detail else text)


# ---- weighing ---------------------------------------------------------------------------------------------------

_FLAGS: tuple[tuple[int, str], ...] = (
    (lib.BF_STOPPED_ON_SENSOR, "stopped_on_sensor"),
    (lib.BF_REVERSED, "reversed"),
    (lib.BF_PARTIAL, "partial"),
    (lib.BF_OFF_LANE, "off_lane"),
    (lib.BF_UNEQUAL_LINES, "unequal_lines"),
    (lib.BF_SATURATED, "saturated"),
    (lib.BF_SENSOR_FAULT, "sensor_fault"),
    (lib.BF_SPEED_CHANGE, "speed_change"),
    (lib.BF_TAILGATING, "tailgating"),
    (lib.BF_CUT_UNCERTAIN, "cut_uncertain"),
    (lib.BF_SPACING_UNCERTAIN, "spacing_uncertain"),
)
_SENSOR_TYPES = {"strip": lib.BF_STRIP, "plate": lib.BF_PLATE, "loop": lib.BF_LOOP}
_CHANNEL_STATES = ("ok", "dead", "noisy", "saturated", "stuck", "reversed", "misplaced")
_SAME_LINE_M = 0.02  # sensors nearer than this along the lane are parts of one line


class WimAxle(Struct, frozen=True, gc=False):
    """`position_m` counts backwards from the first axle; `left_kg` and `right_kg` are None without halves."""

    position_m: float
    load_kg: float
    sigma_kg: float
    left_kg: float | None
    right_kg: float | None
    dual_tyres: bool | None
    position_sigma_m: float = 0.0
    sensor_kg: tuple[float | None, ...] = ()  # what each sensor weighed of it, in the order of the table
    way_m: float | None = None  # how far it is behind the first in the fitted motion


class WimVehicle(Struct, frozen=True, gc=False):
    """A weighed vehicle. Scans count from the start of the stream, lost ones included, and may be fractional:
    `first_axle_scan` is when the first axle's centre crosses x = 0, `exit_scan` when the last has left the last line.
    """

    first_axle_scan: float
    exit_scan: float
    speed_mps: float
    length_m: float | None
    wheelbase_m: float
    gross_kg: float
    gross_sigma_kg: float
    axles: tuple[WimAxle, ...]
    flags: tuple[str, ...]
    lateral_m: float | None = None  # right of the lane's middle
    whole: float = 1.0  # probability that these are all axles of one vehicle
    way_from_scan: float = 0.0
    way_m: tuple[float, ...] = ()  # the fitted motion: x of the first axle from that scan to `exit_scan`, evenly


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """How a sensor's channel does. `missed` counts axles that the other lines saw and this sensor did not."""

    name: str
    channel: int
    state: str  # ok | dead | noisy | saturated | stuck | reversed | misplaced
    baseline_counts: float
    noise_counts: float
    footprints: int
    missed: int
    saturated_samples: int
    spikes: int


def _number(value: float) -> float | None:
    return None if value != value else value


class Wim:
    """Weighs what passes one array: int16 scans in, vehicles out; the answer does not depend on how blocks are cut.

    Raises CoreError, with the sensor's key and the remedy, when the sensor table cannot work.
    """

    def __init__(self, wim: config.Wim, channels: int | None = None) -> None:
        _check_table(wim)
        self._sensors = wim.sensor
        self._rate_hz = wim.sample_rate_hz
        self._mode = wim.mode
        self._temperature_c = wim.temperature_c
        self._needed = max(sensor.channel for sensor in wim.sensor) + 1
        self._handle = ffi.NULL
        self._channels = 0
        self._out = ffi.new("bf_vehicle *")
        self._used = ffi.new("size_t *")
        self._open(channels if channels is not None else self._needed)

    def _open(self, channels: int) -> None:
        if channels < self._needed:
            worst = max(self._sensors, key=lambda sensor: sensor.channel)
            raise CoreError(
                f"sensor[{worst.name}].channel: {worst.channel} is not among the {channels} channels of the samples; "
                "record that channel too, or correct the number"
            )
        table = ffi.new("bf_sensor[]", len(self._sensors))
        for row, sensor in zip(table, self._sensors, strict=True):
            row.type = _SENSOR_TYPES[sensor.type]
            row.channel = sensor.channel
            row.x_m = sensor.x_m
            row.y0_m, row.y1_m = sensor.y_m if sensor.y_m is not None else (float("nan"), float("nan"))
            row.width_m = sensor.width_m if sensor.width_m is not None else 0.0
            row.gain_n = sensor.gain_n if sensor.gain_n is not None else 1.0
            row.temp_coeff_per_c = sensor.temp_coeff_per_c
            row.reference_temperature_c = sensor.reference_temperature_c
            row.coupling_tau_s = sensor.coupling_tau_s
            row.threshold_counts = sensor.threshold_counts if sensor.threshold_counts is not None else 0.0
            row.angle_deg = sensor.angle_deg
        options = ffi.new(
            "bf_wim_options *",
            {
                "rate_hz": self._rate_hz,
                "temperature_c": self._temperature_c,
                "channels": channels,
                "use_loop": self._mode == "loop",
            },
        )
        out, fault = ffi.new("bf_wim **"), ffi.new("int32_t *")
        status = lib.bf_wim_create(options, table, len(self._sensors), out, fault)
        detail = f"sensor[{self._sensors[fault[0]].name}]" if 0 <= fault[0] < len(self._sensors) else "wim"
        _check(status, detail)
        self._handle = ffi.gc(out[0], lib.bf_wim_destroy)
        self._channels = channels

    def push(self, samples: npt.NDArray[np.int16]) -> list[WimVehicle]:
        """Take the next scans, shape (n, channels), C-contiguous; returns the vehicles that are finished with them.

        The number of channels is set by the first block; channels that no sensor names are ignored.
        """
        if samples.dtype != "int16" or samples.ndim != 2 or not samples.flags.c_contiguous:
            raise CoreError("samples: must be a C-contiguous array of int16 with shape (scans, channels)")
        if samples.shape[1] != self._channels:
            if self.scans:
                raise CoreError(f"samples: {samples.shape[1]} channels, but the stream began with {self._channels}")
            self._open(samples.shape[1])
        found: list[WimVehicle] = []
        if not len(samples):
            return found
        pointer = ffi.from_buffer("int16_t[]", samples)
        start, end = 0, len(samples)
        while start < end:
            _check(lib.bf_wim_push(self._handle, pointer + start * self._channels, end - start, self._used))
            start += self._used[0]
            found += self._drain()
        return found

    def gap(self, lost_scans: int) -> list[WimVehicle]:
        """So many scans were lost: vehicles over the array are finished as they stand and say `partial`."""
        _check(lib.bf_wim_gap(self._handle, lost_scans), "lost_scans")
        return self._drain()

    def finish(self) -> list[WimVehicle]:
        """The stream has ended: what is still open is finished as it stands."""
        _check(lib.bf_wim_finish(self._handle))
        return self._drain()

    def set_temperature(self, temperature_c: float) -> None:
        _check(lib.bf_wim_set_temperature(self._handle, temperature_c), "temperature_c")

    def ignore_loops(self, ignore: bool) -> None:
        """The loops are stuck or chatter: until told otherwise vehicles are cut as without them."""
        _check(lib.bf_wim_ignore_loops(self._handle, ignore))

    @property
    def scans(self) -> int:
        """Scans of the stream so far, lost ones included."""
        return int(lib.bf_wim_scans(self._handle))

    @property
    def open_since(self) -> int | None:
        """Scan at which a vehicle came that is not finished yet."""
        scan = int(lib.bf_wim_open_since(self._handle))
        return scan if scan >= 0 else None

    def channels(self) -> list[ChannelHealth]:
        """How each sensor's channel does, in the order of the table."""
        row = ffi.new("bf_channel_health *")
        health = []
        for index, sensor in enumerate(self._sensors):
            _check(lib.bf_wim_health(self._handle, index, row))
            health.append(
                ChannelHealth(
                    name=sensor.name,
                    channel=row.channel,
                    state=_CHANNEL_STATES[row.state],
                    baseline_counts=row.baseline_counts,
                    noise_counts=row.noise_counts,
                    footprints=row.footprints,
                    missed=row.missed,
                    saturated_samples=row.saturated_samples,
                    spikes=row.spikes,
                )
            )
        return health

    def _drain(self) -> list[WimVehicle]:
        found = []
        while lib.bf_wim_next(self._handle, self._out):
            found.append(_vehicle(self._out[0], len(self._sensors)))
        return found


def _vehicle(v: Any, sensors: int) -> WimVehicle:
    axles = []
    for a in ffi.unpack(v.axles, v.axle_count):
        by_sensor = ffi.unpack(a.sensor_kg, sensors)
        axles.append(
            WimAxle(
                position_m=a.position_m,
                load_kg=a.load_kg,
                sigma_kg=a.sigma_kg,
                left_kg=_number(a.left_kg),
                right_kg=_number(a.right_kg),
                dual_tyres=None if a.dual_tyres < 0 else bool(a.dual_tyres),
                position_sigma_m=a.position_sigma_m,
                sensor_kg=tuple([kg or None for kg in by_sensor]),
                way_m=_number(a.way_m),
            )
        )
    way_m = ffi.unpack(v.way_m, lib.BF_WAY_POINTS)
    flags = v.flags
    return WimVehicle(
        first_axle_scan=v.first_axle_scan,
        exit_scan=v.exit_scan,
        speed_mps=v.speed_mps,
        length_m=_number(v.length_m),
        wheelbase_m=axles[-1].position_m,
        gross_kg=v.gross_kg,
        gross_sigma_kg=v.gross_sigma_kg,
        axles=tuple(axles),
        flags=tuple([word for bit, word in _FLAGS if flags & bit]),
        lateral_m=_number(v.lateral_m),
        whole=v.whole,
        way_from_scan=v.way_from_scan,
        way_m=() if way_m[0] != way_m[0] else tuple(way_m),
    )


def _check_table(wim: config.Wim) -> None:
    """What `edge.config.rules` checks for a file is checked here for any caller: the first fault is raised."""
    scales = [sensor for sensor in wim.sensor if sensor.type != "loop"]
    if not scales:
        raise CoreError("sensor: there is no strip and no plate; nothing can be weighed")
    if len(wim.sensor) > lib.BF_MAX_SENSORS:
        raise CoreError(f"sensor: {len(wim.sensor)} sensors; the core takes up to {lib.BF_MAX_SENSORS}")
    taken: dict[int, str] = {}
    for sensor in wim.sensor:
        key = f"sensor[{sensor.name}]"
        if sensor.channel in taken:
            raise CoreError(f"{key}.channel: {sensor.channel} is used by {taken[sensor.channel]!r}; give each its own")
        taken[sensor.channel] = sensor.name
        if not 0 <= sensor.channel < lib.BF_MAX_CHANNELS:
            raise CoreError(f"{key}.channel: {sensor.channel} is outside 0 .. {lib.BF_MAX_CHANNELS - 1}")
        if sensor.type != "loop":
            if sensor.width_m is None or not sensor.width_m > 0:
                raise CoreError(f"{key}.width_m: {sensor.width_m} is no width; write its extent along the lane")
            if sensor.gain_n is None or sensor.gain_n == 0:
                raise CoreError(f"{key}.gain_n: {sensor.gain_n} gives no force; write the newton for one count")
        if sensor.coupling_tau_s < 0:
            raise CoreError(f"{key}.coupling_tau_s: {sensor.coupling_tau_s} is negative; write 0 for DC-coupled")
    for i, first in enumerate(scales):
        for second in scales[i + 1 :]:
            if abs(first.x_m - second.x_m) < _SAME_LINE_M and _overlap(first, second):
                raise CoreError(
                    f"sensor[{second.name}].x_m: stands at the same place as {first.name!r}; "
                    "give halves of one line different y_m, or lines different x_m"
                )
    places = sorted(sensor.x_m for sensor in scales)
    lines = 1 + sum(b - a > _SAME_LINE_M for a, b in itertools.pairwise(places))
    if lines > lib.BF_MAX_LINES:
        raise CoreError(f"sensor: {lines} lines; the core takes up to {lib.BF_MAX_LINES}")
    if lines < 2 and not any(sensor.type == "plate" for sensor in scales):
        raise CoreError("sensor: one line of strips cannot tell a speed; give at least two lines with different x_m")
    if wim.mode == "loop" and not any(sensor.type == "loop" for sensor in wim.sensor):
        raise CoreError('mode: is "loop" but no sensor is of type "loop"; add one or write mode = "gap"')


def _overlap(first: config.Sensor, second: config.Sensor) -> bool:
    if first.y_m is None or second.y_m is None:
        return True
    return max(first.y_m[0], second.y_m[0]) < min(first.y_m[1], second.y_m[1]) - 1e-9


# ---- waits: matching and queue ----------------------------------------------------------------------------------

PLATE_ROW: int = lib.BF_PLATE_ROW
AXLE_FEATURES: int = lib.BF_AXLE_FEATURES
AXLE_MOST: int = lib.BF_AXLE_MOST
TOGETHER_NS: int = lib.BF_TOGETHER_NS
FAR_NS: int = lib.BF_FAR_NS
TAG, PLATE, AXLES = 1, 2, 4  # what was read of a passage, as a bit mask
_SAMPLES = 200  # of a forecast where nobody wants them
_NEVER_NS = -(1 << 62)
DEAD_SHIFT = 3  # and, by so many bits higher, whose reader was dead
MASKS = 64


def encode_plate(text: str) -> npt.NDArray[np.uint8]:
    """Row of a plate for `PlateTable.compare`; its last byte is the number of characters kept."""
    import numpy as np

    row = np.zeros(PLATE_ROW, np.uint8)
    raw = text.encode("ascii", "replace")
    lib.bf_plate_encode(raw, len(raw), ffi.from_buffer("uint8_t[]", row, require_writable=True))
    return row


class PlateErrors(Struct, frozen=True, gc=False):
    """What was learned of the readers at two points, fading: characters seen at both, those that differed, and how."""

    characters: float
    errors: float
    pairs: tuple[tuple[str, float], ...]  # the most frequent confusions in either direction, such as ("8B", 12.0)


class PlateTable:
    """Compares plates by the confusion tables of two readers, and learns these.

    `formats` of the plates of this traffic: 9 a digit, A a letter, * either.
    """

    _MOST = 256  # more readings than this are never like one another, unless a reader is stuck

    def __init__(
        self,
        *,
        error_upstream: float = 0.012,
        error_downstream: float = 0.012,
        gap: float = 0.002,
        fleet: float = 0.03,
        formats: Sequence[str] = (),
    ) -> None:
        handle = lib.bf_plates_create(error_upstream, error_downstream, gap, fleet)
        if handle == ffi.NULL:
            raise CoreError("plate table: an error rate is outside its range")
        self.handle = ffi.gc(handle, lib.bf_plates_free)
        for pattern in formats:
            _check(lib.bf_plates_format(self.handle, pattern.encode("ascii", "replace")), "plate format")
        self._index = ffi.new("int32_t[]", self._MOST)
        self._llr = ffi.new("float[]", self._MOST)
        self._found = ffi.new("int32_t *")

    def confusion(self, *, downstream: bool, truly: str, read: str, share: float) -> None:
        """Of the errors of that reader at the character `truly`, `share` are read as `read`."""
        status = lib.bf_plates_confusion(
            self.handle, downstream, truly.encode("ascii", "replace"), read.encode("ascii", "replace"), share
        )
        _check(status, "plate confusion")

    def compare(self, query: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Ln likelihood ratio "one vehicle" against "another of this traffic", one for each of `rows` (n, 16)."""
        import numpy as np

        llr = np.empty(len(rows), np.float32)
        status = lib.bf_plates_compare(
            self.handle,
            ffi.from_buffer("uint8_t[]", query),
            ffi.from_buffer("uint8_t[]", rows),
            len(rows),
            ffi.from_buffer("float[]", llr),
            ffi.NULL,
        )
        _check(status, "plates")
        return llr

    def find(
        self, query: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], n: int, least: float
    ) -> list[tuple[int, float]]:
        """Index and ratio of those of the first `n` rows whose ratio is above `least`."""
        status = lib.bf_plates_find(
            self.handle,
            ffi.from_buffer("uint8_t[]", query),
            ffi.from_buffer("uint8_t[]", rows),
            min(n, len(rows)),
            least,
            self._MOST,
            self._index,
            self._llr,
            self._found,
        )
        _check(status, "plates")
        index, llr = self._index, self._llr
        return [(index[i], llr[i]) for i in range(self._found[0])]

    def learn(self, upstream: npt.NDArray[np.uint8], downstream: npt.NDArray[np.uint8]) -> None:
        """Two readings that are surely of one vehicle."""
        status = lib.bf_plates_learn(
            self.handle, ffi.from_buffer("uint8_t[]", upstream), ffi.from_buffer("uint8_t[]", downstream)
        )
        _check(status, "plates")

    def learned(self) -> PlateErrors:
        """What has been learned so far."""
        out = ffi.new("bf_plate_errors *")
        _check(lib.bf_plates_learned(self.handle, out), "plates")
        pairs = tuple(
            (bytes(ffi.buffer(out.pair[i])).decode(), out.times[i])
            for i in range(lib.BF_PLATE_PAIRS)
            if out.times[i] >= 1.0
        )
        return PlateErrors(out.characters, out.errors, pairs)


def compare_tokens(row: bytes, query: bytes) -> float | None:
    """Ln likelihood ratio "one vehicle" against "another of this traffic" of the tokens of two plates.

    None where they do not agree; both as `PlateTokens.data` has them.
    """
    llr = ffi.new("double *")
    _check(lib.bf_tokens_compare(row, len(row), query, len(query), llr), "tokens")
    return None if llr[0] < -1e8 else float(llr[0])


Samples = memoryview | Sequence[float]
"""Doubles in memory, such as a slice of a memoryview of an `array`, or an array of NumPy."""


class Departure(Struct, frozen=True, gc=False):
    """What the queue filter says about one departure; see bf_departure."""

    pos: int
    p: float
    wait_s: float
    mean_s: float
    sd_s: float
    p_unlisted: float
    p_phantom: float
    p_elsewhere: float
    p_busy: float
    in_order: bool


class Forecast(Struct, frozen=True, gc=False):
    """What the queue filter expects; see bf_forecast."""

    p10_s: float
    p50_s: float
    p90_s: float
    mean_s: float
    queue_n: float
    queue_sd_n: float
    free_flow_s: float
    free_flow_low_s: float
    cycle_s: float
    cycle_sd_s: float
    skip: float
    unlisted: float
    phantom: float
    side_road: float
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
        self.handle = ffi.gc(handle, lib.bf_queue_free)
        self._pos = ffi.new("int64_t *")
        self._departure = ffi.new("bf_departure *")
        self._forecast = ffi.new("bf_forecast *")
        self._mask_llr = ffi.new("double[]", MASKS)
        self._room = 16  # candidates
        self._pos_of, self._llr_of = ffi.new("int64_t[]", self._room), ffi.new("float[]", self._room)
        self._mask_llr_of: Sequence[float] | None = None  # kept, so that another one is another object

    def enter(self, time_ns: int) -> int:
        """A vehicle passed the upstream point; returns its number."""
        _check(lib.bf_queue_enter(self.handle, time_ns, self._pos), "queue")
        return int(self._pos[0])

    def mark(self, pos: int, read: int, *, gone: bool = False) -> None:
        """`read` (TAG | PLATE | AXLES) was read of that passage; `gone`: it will not depart here any more.

        A bit of these that is higher by DEAD_SHIFT says that the reader was dead.
        """
        _check(lib.bf_queue_mark(self.handle, pos, read, gone), "queue")

    def booths(self, number: float) -> None:
        """That many booths are open; 0 while the lane is closed."""
        _check(lib.bf_queue_booths(self.handle, number), "queue")

    def program(self, number: int) -> None:
        """The booths serve another program from now on; 0 <= number < 8."""
        _check(lib.bf_queue_program(self.handle, number), "queue")

    def counts(self, upstream: float, downstream: float) -> None:
        """Shares of the vehicles that are seen from now on, 0 < share <= 1: below 1 while a counter is dead."""
        _check(lib.bf_queue_counts(self.handle, upstream, downstream), "queue")

    def unwatched(self, seconds: float) -> None:
        """Nobody looked so long: vehicles may have departed unseen."""
        _check(lib.bf_queue_unwatched(self.handle, seconds), "queue")

    def depart(
        self, time_ns: int, candidates: Mapping[int, float], mask_llr: Sequence[float], elsewhere: float
    ) -> Departure:
        """A vehicle arrived downstream; `candidates`: what its identities say about these passages (ln of ratios)."""
        if mask_llr is not self._mask_llr_of:
            self._mask_llr[0:MASKS] = mask_llr
            self._mask_llr_of = mask_llr
        n = len(candidates)
        if n > self._room:
            self._room = 2 * n
            self._pos_of, self._llr_of = ffi.new("int64_t[]", self._room), ffi.new("float[]", self._room)
        if n:
            self._pos_of[0:n] = list(candidates)
            self._llr_of[0:n] = list(candidates.values())
        status = lib.bf_queue_depart(
            self.handle,
            time_ns,
            self._pos_of,
            self._llr_of,
            n,
            self._mask_llr,
            elsewhere,
            self._departure,
        )
        _check(status, "queue")
        d = self._departure
        return Departure(
            d.pos, d.p, d.wait_s, d.mean_s, d.sd_s, d.p_unlisted, d.p_phantom, d.p_elsewhere, d.p_busy, bool(d.in_order)
        )

    def predict(self, time_ns: int, waits_s: Samples | None = None, more_booths: int = 0) -> Forecast:
        """The wait of a vehicle that enters at `time_ns`, if `more_booths` more opened then.

        `waits_s` is filled with as many samples of it as it has room for (1 to 1024), sorted.
        """
        if waits_s is None:
            waits_s = memoryview(array("d", bytes(8 * _SAMPLES)))
        status = lib.bf_queue_predict(
            self.handle, time_ns, len(waits_s), more_booths, ffi.from_buffer("double[]", waits_s), self._forecast
        )
        _check(status, "queue")
        f = self._forecast
        return Forecast(
            f.p10_s, f.p50_s, f.p90_s, f.mean_s, f.queue_n, f.queue_sd_n, f.free_flow_s, f.free_flow_low_s,
            f.cycle_s, f.cycle_sd_s, f.skip, f.unlisted, f.phantom, f.side_road, f.free_flow_n,
            f.entries_since, f.departures, f.learned_cycles,
        )  # fmt: skip


class Mixture:
    """Quantiles of mixtures of rows of `most` samples that stand one after another, and whose values may change."""

    def __init__(self, samples: Samples, most: int) -> None:
        self._samples = ffi.from_buffer("double[]", samples)
        self._stride = most
        self._parts = ffi.new("bf_component[]", len(self._samples) // most)
        self._out = ffi.new("double[3]")

    def quantiles(self, parts: Sequence[tuple[int, int, float]], qs: tuple[float, ...]) -> list[float]:
        """At most three; each part is a row, how many sorted samples it has, and its weight."""
        n = len(parts)
        self._parts[0:n] = parts
        status = lib.bf_mixture(
            self._samples, self._stride, self._parts, n, ffi.new("double[]", qs), len(qs), self._out
        )
        _check(status, "mixture")
        return list(self._out[0 : len(qs)])


# ---- waits: from sightings to matches ---------------------------------------------------------------------------

SEEN_LOOP, SEEN_TAG, SEEN_PLATE = lib.BF_SEEN_LOOP, lib.BF_SEEN_TAG, lib.BF_SEEN_PLATE
SEEN_TOKENS, SEEN_AXLES, SEEN_BOOTH = lib.BF_SEEN_TOKENS, lib.BF_SEEN_AXLES, lib.BF_SEEN_BOOTH
ENTERED, MATCHED, SERVED, BOOTH, GAP = lib.BF_ENTERED, lib.BF_MATCHED, lib.BF_SERVED, lib.BF_BOOTH, lib.BF_GAP
STOP_DONE, STOP_LIMIT, STOP_LOOK = lib.BF_STOP_DONE, lib.BF_STOP_LIMIT, lib.BF_STOP_LOOK
STOP_LINE = lib.BF_STOP_LINE
_COUNTERS = ("duplicate", "double_count", "repeated_read", "stuck_reader", "pool_full", "lane_change")
_EVENTS = 512  # of one call
_EVENT = struct.Struct("=4i3q4d6?2x")
assert _EVENT.size == ffi.sizeof("bf_event")
Event = tuple[Any, ...]
"""what, lane, way, from_lane, time_ns, pos, upstream_ns, wait_s, rough_s, sd_s, p, sure, by_identity, phantom, detour,
readable, busy: see bf_event."""


class Order:
    """Sightings in the order of time, which wait for others out of order."""

    def __init__(self) -> None:
        self.handle = ffi.gc(lib.bf_order_create(), lib.bf_order_free)
        self._number = ffi.new("int64_t *")
        self._late = ffi.new("int32_t *")

    def put(self, time_ns: int, place: int, kind: int, data: bytes) -> int:
        """Something was seen; see bf_order_put for `data`. Returns its number."""
        _check(
            lib.bf_order_put(self.handle, time_ns, place, kind, data, len(data), self._number, self._late), "sighting"
        )
        return int(self._number[0])

    @property
    def late(self) -> bool:
        """Whether the last one that was put in came after one that is later and has gone out."""
        return bool(self._late[0])


class Lines(Struct, frozen=True, gc=False):
    """What became of lines of a file; see bf_match_lines."""

    why: int
    time_ns: int
    events: Iterator[Event]
    used: int  # bytes
    lines: int
    late: int
    newest_ns: int
    run_ns: int


class Matcher:
    """All lanes and points of a crossing: what is due of an `Order` in, events out."""

    def __init__(self, lanes: int, points: int, most_ways: int, *, counts_only: bool) -> None:
        handle = lib.bf_match_create(lanes, points, most_ways, counts_only)
        if handle == ffi.NULL:
            raise CoreError("crossing: more lanes or points than the core takes (4096)")
        self._handle = ffi.gc(handle, lib.bf_match_free)
        self._kept: list[Any] = []  # queues and tables of plates, which must live as long
        self._way = ffi.new("int32_t *")
        self._ends = ffi.new("bf_lane_ends *")
        self._events = ffi.new("bf_event[]", _EVENTS)
        self._buffer = ffi.buffer(self._events)
        self._run = ffi.new("bf_run *")
        self._pace = ffi.new("bf_pace *")
        self.last_ns = _NEVER_NS  # of the newest sighting that went through

    def way(
        self,
        ends: tuple[int, int],
        lanes: Sequence[int],
        queues: Sequence[QueueFilter],
        plates: PlateTable,
        *,
        main: bool,
    ) -> int:
        """A way between two points, for the lanes of one direction; returns its number."""
        handles = [queue.handle for queue in queues]
        status = lib.bf_match_way(
            self._handle, *ends, main, plates.handle, ffi.new("int32_t[]", lanes),
            ffi.new("bf_queue *[]", handles), len(lanes), self._way,
        )  # fmt: skip
        _check(status, "way")
        self._kept += [*handles, plates.handle]
        return int(self._way[0])

    def run(self, order: Order, due_ns: int, limit_ns: int, *, everything: bool) -> tuple[int, int, Iterator[Event]]:
        """Takes what is due and before the limit: why it stopped, the time of what is next, and what happened.

        Go on only after these events have been looked at.
        """
        run = self._run
        _check(
            lib.bf_match_run(self._handle, order.handle, due_ns, limit_ns, everything, self._events, _EVENTS, run),
            "sightings",
        )
        self.last_ns = run.last_ns
        return run.why, run.time_ns, _EVENT.iter_unpack(self._buffer[: run.made * _EVENT.size])

    def name(self, place: int, lane: str, point: str) -> None:
        """How lines of a file name that place."""
        names = (lane.encode(), point.encode())
        _check(lib.bf_match_name(self._handle, place, names[0], len(names[0]), names[1], len(names[1])), "name")

    def lines(
        self, order: Order, data: bytes, at: int, *,
        newest_ns: int, run_ns: int, run_every_ns: int, reorder_ns: int, limit_ns: int,
    ) -> Lines:  # fmt: skip
        """Plain lines of a file from `at` on; go on only after the events have been looked at."""
        run, pace = self._run, self._pace
        pace.newest_ns, pace.run_ns, pace.run_every_ns = newest_ns, run_ns, run_every_ns
        pace.reorder_ns, pace.limit_ns = reorder_ns, limit_ns
        pace.used, pace.lines, pace.late = at, 0, 0
        _check(
            lib.bf_match_lines(self._handle, order.handle, data, len(data), pace, self._events, _EVENTS, run), "lines"
        )
        self.last_ns = run.last_ns
        events = _EVENT.iter_unpack(self._buffer[: run.made * _EVENT.size])
        return Lines(run.why, run.time_ns, events, pace.used, pace.lines, pace.late, pace.newest_ns, pace.run_ns)

    def settle(self, time_ns: int) -> tuple[bool, Iterator[Event]]:
        """Nothing before `time_ns` is to come: whether it has to be called again, and what happened."""
        run = self._run
        _check(lib.bf_match_settle(self._handle, time_ns, self._events, _EVENTS, run), "sightings")
        return run.why != STOP_DONE, _EVENT.iter_unpack(self._buffer[: run.made * _EVENT.size])

    def works(self, way: int, lane: int) -> tuple[bool, bool]:
        """Whether the loop of the lane at the point upstream works, and whether identities can be compared.

        That is, whether one kind of them is read upstream, in any lane, and at this lane downstream.
        """
        _check(lib.bf_match_look(self._handle, way, lane, self._ends), "lane")
        return bool(self._ends.counts), bool(self._ends.identifies)

    def empty(self, way: int, lane: int) -> None:
        """All that were seen in the lane upstream have gone."""
        _check(lib.bf_match_empty(self._handle, way, lane), "lane")

    def came_unseen(self, way: int, lane: int, share: float) -> None:
        """Of those before the next one that is seen upstream, this share was seen."""
        _check(lib.bf_match_came_unseen(self._handle, way, lane, share), "lane")

    def counters(self) -> dict[str, int]:
        """Of bad and unusual input, by a short word; what never came is left out."""
        out = ffi.new("int64_t[]", lib.BF_COUNTERS)
        lib.bf_match_counters(self._handle, out)
        return {word: number for word, number in zip(_COUNTERS, out, strict=True) if number}
