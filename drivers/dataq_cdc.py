"""DATAQ DI-4108, DI-2108-P, DI-1110 in CDC mode: raw waveforms over a USB tty (VID 0683).

Commands are lower-case ASCII ended by CR, and come back as an echo with CR, perhaps padded with NUL; `start` has none.

    stop | info 1 -> info 1 4108 | encode 0 | ps 2 | slist 0 0 | slist 1 1 | ... | srate 60000 | dec 1 | start

    slist <position> <word>        word: bits 0-3 channel, bits 8-11 index of the range
    scan rate                      60 MHz / (srate * dec), all channels each scan

Then the device sends nothing but scans, each channel as int16, least significant byte first, in the order of the list:

    E8 03  18 FC      channel 0 +1000, channel 1 -1000; volts = range * raw / 32768

The digital port is one word of the scan, and its inputs are bits 0-6 of the second byte: 00 01 means that DI0 is on.

What a model can do it says by its number in the answer to `info 1`:

    1100, 1110           no `dec`, so no slower than 915 scans a second; +/-10 V
    2108                 +/-10 V                              4108    10, 5, 2, 1, 0.5, 0.2 V
    1120, 4208           100, 50, 20, 10, 5, 2 V              4718B   +/-5 V

There is no header and no check: what tells channels apart is counting alone. Any error on the line therefore ends the
session, and the next one stops the device, lets it run dry and begins anew. So does a lost byte: high and low bytes
change places then, and all channels are suddenly far rougher than they were. A lost pair of bytes cannot be told. So do
scans that come at quite another rate than the device was told: the next session reckons with the rate that was counted.

Sources: DATAQ's own samples (dataq-instruments/Python: DI_1100.py, DI_1110.py, DataqStarterKit.py), field code for the
DI-4108. Unconfirmed on hardware: other models than these (taken for a DI-4108; `ranges_v`, `clock_hz`).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options
from drivers.events import SampleBlock
from drivers.links import Link, connect
from drivers.sampleclock import ToldRate

_LINE = re.compile(r"(AIN|DI)(\d{1,2})")
_MODEL = re.compile(r"(?:DI-?)?(\d{4})[A-Z-]{0,4}")
_REPLY_S = 2.5  # stop and encode take a second
_QUIET_S = 0.2
_MOST_SRATE, _MOST_DEC = 65535, 512
_PACKET_BYTES = ("16", "32", "64", "128", "256", "512", "1024", "2048")
_WINDOW_S, _WILD, _WILD_COUNTS = 0.25, 40.0, 250.0  # how rough a stream out of step is, against what it was


class DataqOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scan_list: Annotated[
        tuple[str, ...], Meta(min_length=1, max_length=11, description="channels in order: AIN0..AIN7, DI0..DI6")
    ]
    scan_rate_hz: Annotated[float, Meta(gt=0, le=160_000, description="scans a second, each of all channels")]
    range_v: Annotated[float, Meta(gt=0, description="full scale of the analogue inputs, one of ranges_v")] = 10.0
    ranges_v: Annotated[
        tuple[float, ...], Meta(description="ranges of the model, by their index; empty: as its number says")
    ] = ()
    clock_hz: Annotated[float, Meta(gt=0, description="clock that srate and dec divide")] = 60e6
    digital_position: Annotated[int, Meta(ge=0, le=15, description="channel number of the digital port")] = 8
    digital_first_bit: Annotated[int, Meta(ge=0, le=9, description="bit of DI0 in the digital word")] = 8
    packet_bytes_index: Annotated[
        int, Meta(ge=0, le=7, description="size of a USB packet: 0..7 for 16, 32, 64 .. 2048 bytes")
    ] = 2

    def __post_init__(self) -> None:
        for name in self.scan_list:
            match = _LINE.fullmatch(name)
            if match is None or int(match[2]) > (7 if match[1] == "AIN" else 6):
                raise ValueError(f"scan_list: {name!r} is none of AIN0..AIN7, DI0..DI6")
        if len(set(self.scan_list)) < len(self.scan_list):
            raise ValueError("scan_list: a channel is named twice")
        known = self.ranges_v or tuple(sorted({v for model in _MODELS.values() for v in model.ranges_v}))
        if self.range_v not in known:
            raise ValueError(f"range_v: {self.range_v:g} is none of {', '.join(f'{v:g}' for v in known)}")


@dataclass(frozen=True, slots=True)
class Model:
    """What a model can do: its ranges by their index, and the largest `dec`."""

    ranges_v: tuple[float, ...]
    most_dec: int = _MOST_DEC


_DI_4108 = Model((10.0, 5.0, 2.0, 1.0, 0.5, 0.2))
_DI_1120 = Model((100.0, 50.0, 20.0, 10.0, 5.0, 2.0))
_MODELS = {
    "1100": Model((10.0,), most_dec=1),
    "1110": Model((10.0,), most_dec=1),
    "1120": _DI_1120,
    "2108": Model((10.0,)),
    "4108": _DI_4108,
    "4208": _DI_1120,
    "4718": Model((5.0,)),
}


def model_of(info: str) -> Model | None:
    """The model of the answer to `info 1`: a number, perhaps with letters about it; None where it is no answer."""
    match = _MODEL.fullmatch(info)
    return _MODELS.get(match[1], _DI_4108) if match is not None else None


def divisors(clock_hz: float, scan_rate_hz: float, most_dec: int = _MOST_DEC) -> tuple[int, int]:
    """`srate` and `dec` whose product divides the clock closest to the wanted rate."""
    wanted = clock_hz / scan_rate_hz
    dec = min(most_dec, max(1, int(-(-wanted // _MOST_SRATE))))
    return min(_MOST_SRATE, max(1, round(wanted / dec))), dec


class ScanCodec:
    """Bytes after `start` to scans, int16 of shape (scans, channels). Holds back the bytes of a scan cut in two."""

    def __init__(self, options: DataqOptions, model: Model = _DI_4108) -> None:
        ranges_v = options.ranges_v or model.ranges_v
        lines = [(match[1], int(match[2])) for name in options.scan_list if (match := _LINE.fullmatch(name))]
        self.words = [number | ranges_v.index(options.range_v) << 8 for kind, number in lines if kind == "AIN"]
        self._analogue = len(self.words)
        if self._analogue < len(lines):
            self.words.append(options.digital_position)
        column = iter(range(self._analogue))
        self._columns = [
            (next(column), None) if kind == "AIN" else (self._analogue, number + options.digital_first_bit)
            for kind, number in lines
        ]
        self.analogue = [channel for channel, (_, bit) in enumerate(self._columns) if bit is None]
        self._rest = b""

    def feed(self, data: bytes) -> npt.NDArray[np.int16]:
        """The scans that are complete with `data`; there may be none."""
        data = self._rest + data
        width = 2 * len(self.words)
        whole = len(data) - len(data) % width
        self._rest = data[whole:]
        raw = np.frombuffer(data[:whole], "<i2").reshape(-1, len(self.words))
        out = np.empty((len(raw), len(self._columns)), np.int16)
        for channel, (column, bit) in enumerate(self._columns):
            out[:, channel] = raw[:, column] if bit is None else raw[:, column] >> bit & 1
        return out


class InStep:
    """Notices that bytes were lost: from one window to the next the steps between scans grow out of all proportion."""

    def __init__(self, window: int) -> None:
        self._window = max(256, window)
        self._scans = self._wild = 0
        self._last: npt.NDArray[np.float64] | None = None
        self._usual: npt.NDArray[np.float64] | None = None
        self._sums: npt.NDArray[np.float64] | float = 0.0

    def check(self, samples: npt.NDArray[np.int16]) -> bool:
        """Take analogue channels of the next scans, shape (scans, channels); false where they are out of step."""
        values = samples.astype(np.float64)
        if self._last is not None:
            values = np.concatenate([self._last, values])
        self._last = values[-1:]
        self._sums = self._sums + np.abs(np.diff(values, axis=0)).sum(axis=0)
        self._scans += len(samples)
        if self._scans < self._window:
            return True
        mean = np.asarray(self._sums) / self._scans
        self._sums, self._scans = 0.0, 0
        if self._usual is None:
            self._usual = mean
        wild = bool(mean.size and np.all(mean > np.maximum(_WILD * self._usual, _WILD_COUNTS)))
        self._wild = self._wild + 1 if wild else 0
        if not wild:
            self._usual = np.minimum(1.05 * self._usual, mean)
        return self._wild < 2


class DataqCdc(Driver):
    Options: ClassVar[type[Options]] = DataqOptions
    summary = "DATAQ DI-4108 / DI-2108-P / DI-1110 digitiser in CDC mode (USB tty)"
    schemes = ("serial", "tcp", "rfc2217")
    options: DataqOptions

    _streams = 0
    _rate: ToldRate | None = None

    def offer(self) -> Offer:
        return Offer.of_scans(self.options.scan_list, self.options.scan_rate_hz)

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        rate = self._rate = self._rate or ToldRate()
        async with connect(self) as link:
            codec, rate_hz = await self._configure(link)
            await link.write(b"start\r")
            clock = rate.begin(rate_hz)
            in_step = InStep(round(_WINDOW_S * rate_hz))
            self._streams += 1
            scans = 0
            try:
                while True:
                    data, time_ns = await link.read()
                    samples = codec.feed(data)
                    if not len(samples):
                        continue
                    if not in_step.check(samples[:, codec.analogue]):
                        raise DeviceError(f"{self.url}: bytes of the stream were lost; starting it anew")
                    alive()
                    first, scans = scans, scans + len(samples)
                    clock.note(scans, time_ns)
                    rate.check(self.url)
                    emit(SampleBlock(self.name, clock.time_ns(first), clock.rate_hz, self._streams, first, 0, samples))
            finally:
                with contextlib.suppress(DeviceError):
                    await link.write(b"stop\r")

    async def _configure(self, link: Link) -> tuple[ScanCodec, float]:
        """Stop what an earlier session left running, set everything up; the codec, and the rate of the stream."""
        await link.write(b"stop\r")
        await self._run_dry(link)
        info = await self._command(link, "info 1")
        model = model_of(info)
        if model is None:
            raise DeviceError(f"{self.url}: answers {info[:40]!r} to `info 1`; is it a DATAQ device in CDC mode?")
        srate, dec = self._divisors(info, model)
        codec = ScanCodec(self.options, model)
        await self._command(link, "encode 0")
        await self._command(link, f"ps {self.options.packet_bytes_index}")
        for position, word in enumerate(codec.words):
            await self._command(link, f"slist {position} {word}")
        await self._command(link, f"srate {srate}")
        if model.most_dec > 1:
            await self._command(link, f"dec {dec}")
        return codec, self.options.clock_hz / (srate * dec)

    def _divisors(self, info: str, model: Model) -> tuple[int, int]:
        """Raises DeviceError where the model cannot do what it is configured for."""
        options = self.options
        slowest_hz = options.clock_hz / (_MOST_SRATE * model.most_dec)
        if options.scan_rate_hz < 0.999 * slowest_hz:
            raise DeviceError(
                f"{self.url}: a DI-{info} scans no slower than {slowest_hz:.1f} Hz, so not at {options.scan_rate_hz:g};"
                f" set scan_rate_hz, and sample_rate_hz of its lane, to {slowest_hz:.0f} or more"
            )
        ranges_v = options.ranges_v or model.ranges_v
        if options.range_v not in ranges_v:
            known = ", ".join(f"{v:g}" for v in ranges_v)
            raise DeviceError(f"{self.url}: a DI-{info} has no range of {options.range_v:g} V; set range_v to {known}")
        return divisors(options.clock_hz, options.scan_rate_hz, model.most_dec)

    async def _run_dry(self, link: Link) -> None:
        """Read until the line is quiet."""
        deadline_s = asyncio.get_running_loop().time() + _REPLY_S
        first = True
        while True:
            try:
                async with asyncio.timeout(_REPLY_S if first else _QUIET_S):
                    await link.read()
            except TimeoutError:
                return
            first = False
            if asyncio.get_running_loop().time() > deadline_s:
                raise DeviceError(f"{self.url}: does not stop; pull its USB plug and put it back")

    async def _command(self, link: Link, text: str) -> str:
        """Send a command and wait for its echo; returns what the device added to it."""
        message = f"{text}\r".encode()
        # A device repeats its commands word for word, but for the first one: that has its model in the answer.
        await (link.write(message) if link.echo_known else link.say(message))
        answer = b""
        try:
            async with asyncio.timeout(_REPLY_S):
                while b"\r" not in answer.replace(b"\0", b"").lstrip(b"\r\n"):
                    answer = (answer + (await link.read())[0])[-4096:]
        except TimeoutError:
            raise DeviceError(f"{self.url}: does not answer `{text}`; is it in CDC mode (yellow light)?") from None
        line = answer.replace(b"\0", b"").lstrip(b"\r\n").split(b"\r")[0].decode("latin-1").strip()
        if not line.startswith(text):
            raise DeviceError(f"{self.url}: answers {line[:40]!r} to `{text}`; is it a DATAQ device in CDC mode?")
        return line[len(text) :].strip()
