"""Licence-plate readers that send framed text over a serial line or TCP: Nedap ANPR, AxxonSoft, and their like.

nedap_raw           02 <fields, divided by ';'> 03        the reader is given this template, in its own notation:
                    %0x02%PLATE_STRING;%PLATE_COUNTRY;%OCRSCORE;%DATE;%TIME;%TRANSIT_ID%0x03
                    so that it sends, for example, 02 "46HVR9;NLD;87;2011-07-28;12-34-56;1042" 03
axxonsoft           02 YYYYMMDDHHMMSSCC<plate, padded> 03
nedap_protocolled   OO OO OO OO  II II II II  LL LL LL LL  DD.. XX  CC CC CC CC
                    OO open 89ABCDEF   II number, from 1, +1   LL length of DD   XX exclusive or of all before
                    CC close 12345678  DD the text that the template makes, here "<plate>-<country>"
                    The byte order of OO, II, LL, CC is not documented; each frame's open code tells it.

`fields` says what the template sends, in its order: plate, country, score (0..100), any other word for what is not
needed. Raw frames have no checksum: a frame counts when it has as many fields as the template, and the plate looks like
one; a word that means "no plate" is a sign of life (drivers/plates.py). What is odd in another field (`odd_country`,
`odd_score`, `odd_bytes`, `odd_count`) is counted and does not cost the plate. Where the template sends the reader's own
count (`id`, TRANSIT_ID, which rises by one), a number that is missing or comes twice says that frames were lost or
doubled on the way. The reader's `date` (YYYY-MM-DD) and `time` (HH-MM-SS) go on as `reader_ns` and are never the time
of a read: the host's clock is kept by chrony or PTP. A step of the one against the other tells of messages that come
late, and of a clock that was set.

A plate reader says nothing while no vehicle comes, so silence is no alarm unless `silent_after_s` is given, for readers
that send the text `heartbeat` (as a frame) in between, or for a lane that never rests.

Sources: Nedap ANPR manual, AxxonSoft documentation. Unconfirmed on hardware: the answer that protocolled mode can be
set to wait for (`acknowledge = true` sends open, number, exclusive or, close); the notation %0xNN in templates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options, ProtocolError
from drivers.events import PlateRead, Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.links import connect
from drivers.plates import PLATE, NoPlate, Plates, confidence_of

_STX, _ETX = 0x02, 0x03
_LONGEST = 256  # of a text frame
_OPEN, _CLOSE = bytes.fromhex("89ABCDEF"), bytes.fromhex("12345678")
_MOST_DATA = 1024
_MOST_MISSING = 1000  # a larger step of the reader's count is a new count
_AXXON_STAMP = re.compile(r"\d{16}")
_STAMP_DIGITS = 14  # YYYYMMDDHHMMSS
_COUNTRY = re.compile(r"[A-Za-z]{0,3}")


class LprOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    preset: Annotated[
        Literal["nedap_raw", "nedap_protocolled", "axxonsoft"], Meta(description="how the reader frames its text")
    ] = "nedap_raw"
    fields: Annotated[
        tuple[str, ...], Meta(description="what the template sends, in order: plate, country, score, or other words")
    ] = ()
    separator: Annotated[str, Meta(min_length=1, max_length=1, description="between the fields")] = ";"
    encoding: Annotated[str, Meta(description="of the text: utf-8, cp1251, ...")] = "utf-8"
    plate_pattern: Annotated[str, Meta(description="regular expression that every plate matches")] = PLATE
    no_plate: NoPlate = ()
    acknowledge: Annotated[bool, Meta(description="answer each frame (nedap_protocolled)")] = False
    heartbeat: Annotated[str, Meta(description="text of a frame that only says that the reader lives")] = ""
    silent_after_s: Annotated[float, Meta(ge=0, description="silence that is an alarm; 0: never")] = 0.0

    def __post_init__(self) -> None:
        try:
            re.compile(self.plate_pattern)
        except re.error as error:
            raise ValueError(f"plate_pattern: {error}") from None
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ValueError(f"encoding: {self.encoding!r} is not known") from None
        if self.fields and "plate" not in self.fields:
            raise ValueError("fields: there is no `plate` among them")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A frame that only says that the reader lives."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes that the protocol wants sent back."""

    data: bytes


LprRecord = PlateRead | Heartbeat | Send | Rejected


class _TextReader:
    """The text of a frame to a plate."""

    def __init__(self, device: str, options: LprOptions, fields: tuple[str, ...], separator: str) -> None:
        self._device = device
        self._encoding = options.encoding
        self._heartbeat = options.heartbeat
        self._plates = Plates(options.no_plate, options.plate_pattern)
        self._fields = options.fields or fields
        self._separator = separator
        self._count: int | None = None
        self._said = ""

    def read(self, data: bytes, time_ns: int) -> tuple[LprRecord, ...]:
        """What a frame says, behind what is odd about it, and what the reader's own count says of frames between."""
        text = data.decode(self._encoding, "replace").strip()
        if self._heartbeat and text == self._heartbeat:
            return (Heartbeat(),)
        values = self._values(text)
        if len(values) == len(self._fields) + 1 and not values[-1]:
            del values[-1]  # the template ends with a separator
        if len(values) != len(self._fields):
            return (self._rejected(time_ns, "bad_text" if "\ufffd" in text else "bad_fields"),)
        said = dict(zip(self._fields, values, strict=True))
        records = self._plate(said, time_ns)
        if "\ufffd" in text and isinstance(records[-1], PlateRead):
            records = (self._rejected(time_ns, "odd_bytes"), *records)
        return self._counted(said.get("id", ""), text, records, time_ns)

    def _values(self, text: str) -> list[str]:
        if not self._separator:
            return [text]
        if self._separator == "-":  # of the protocolled mode: a plate may have dashes of its own
            return [value.strip() for value in text.rsplit("-", len(self._fields) - 1)]
        return [value.strip() for value in text.split(self._separator)]

    def _counted(self, count: str, text: str, records: tuple[LprRecord, ...], time_ns: int) -> tuple[LprRecord, ...]:
        if isinstance(records[-1], Rejected) or not (count.isascii() and count.isdecimal() and len(count) <= 18):
            return records
        before, self._count = self._count, int(count)
        same, self._said, odd_count = text == self._said, text, self._rejected(time_ns, "odd_count")
        if before is None or not 0 <= self._count - before <= _MOST_MISSING:
            return records  # the first one, or the reader began anew
        if self._count == before:  # of another vehicle it is no count: that costs no plate
            return (self._rejected(time_ns, "frame_repeated"),) if same else (odd_count, *records)
        missing = self._count - before - 1
        return (Rejected(self._device, time_ns, "frame_missing", missing), *records) if missing else records

    def _plate(self, values: dict[str, str], time_ns: int) -> tuple[LprRecord, ...]:
        try:
            plate = self._plates.read(values["plate"])
        except ProtocolError as error:
            return (self._rejected(time_ns, error.reason),)
        if plate is None:
            return (Heartbeat(),)
        country, score, odd = values.get("country", ""), values.get("score", ""), []
        if not _COUNTRY.fullmatch(country):
            country = ""
            odd.append(self._rejected(time_ns, "odd_country"))
        confidence = None
        try:
            confidence = confidence_of(score)
        except ProtocolError as error:
            odd.append(self._rejected(time_ns, error.reason))
        stamp = _stamp_ns(values.get("date", "") + values.get("time", ""))
        return (*odd, PlateRead(self._device, time_ns, plate, country or None, confidence, stamp))

    def _rejected(self, time_ns: int, reason: str) -> Rejected:
        return Rejected(self._device, time_ns, reason)


def _stamp_ns(text: str) -> int | None:
    """A date and a time of day, whatever stands between the digits, as if it were UTC; None where it is none."""
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) != _STAMP_DIGITS:
        return None
    try:
        year, *rest = int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, _STAMP_DIGITS, 2))
        month, day, hour, minute, second = rest
        time = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return round(time.timestamp()) * 1_000_000_000


class TextCodec(FrameCodec[LprRecord]):
    """STX text ETX: `nedap_raw` and `axxonsoft`."""

    limit = 1024

    def __init__(self, device: str, options: LprOptions) -> None:
        super().__init__(device)
        self._axxon = options.preset == "axxonsoft"
        fields = ("plate",) if self._axxon else ("plate", "country", "score", "date", "time", "id")
        self._text = _TextReader(device, options, fields, "" if self._axxon else options.separator)

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[LprRecord] | Skip | None:
        if buffer[0] in b"\r\n\x00":
            return Skip(1)
        if buffer[0] != _STX:
            return Skip(1, "no_start")
        end = buffer.find(_ETX, 1, _LONGEST)
        again = buffer.find(_STX, 1, _LONGEST)
        if again > 0 and (end < 0 or again < end):
            return Frame(again, (Rejected(self.device, time_ns, "cut_short"),))
        if end < 0:
            return Skip(1, "too_long") if len(buffer) >= _LONGEST else None
        data = bytes(buffer[1:end])
        if self._axxon:
            if not _AXXON_STAMP.fullmatch(data[:16].decode("latin-1")):
                return Frame(end + 1, (Rejected(self.device, time_ns, "bad_fields"),))
            records = self._text.read(data[16:], time_ns)
            if isinstance(records[-1], PlateRead):
                stamped = replace(records[-1], reader_ns=_stamp_ns(data[:14].decode("ascii")))
                records = (*records[:-1], stamped)
            return Frame(end + 1, records)
        return Frame(end + 1, self._text.read(data, time_ns))


class ProtocolledCodec(FrameCodec[LprRecord]):
    """Nedap's protocolled mode, in the byte order that each frame shows."""

    limit = 2048

    def __init__(self, device: str, options: LprOptions) -> None:
        super().__init__(device)
        self._acknowledge = options.acknowledge
        separator = options.separator if options.fields else "-"
        self._text = _TextReader(device, options, ("plate", "country"), separator)

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[LprRecord] | Skip | None:
        head = bytes(buffer[:4])
        order: Literal["big", "little"]
        if _OPEN.startswith(head):
            order = "big"
        elif _OPEN[::-1].startswith(head):
            order = "little"
        else:
            return Skip(1, "no_start")
        if len(buffer) < 12:
            return None
        length = int.from_bytes(buffer[8:12], order)
        if length > _MOST_DATA:
            return Skip(1, "too_long")
        if len(buffer) < 17 + length:
            again = buffer.find(_OPEN if order == "big" else _OPEN[::-1], 4)
            return Frame(again, (Rejected(self.device, time_ns, "cut_short"),)) if again > 0 else None
        check = 0
        for byte in buffer[: 12 + length]:
            check ^= byte
        close = _CLOSE if order == "big" else _CLOSE[::-1]
        if buffer[12 + length] != check or buffer[13 + length : 17 + length] != close:
            return Skip(1, "bad_check")
        records = self._text.read(bytes(buffer[12 : 12 + length]), time_ns)
        if not self._acknowledge:
            return Frame(17 + length, records)
        return Frame(17 + length, (*records, Send(self._answer(bytes(buffer[:8]), close))))

    @staticmethod
    def _answer(head: bytes, close: bytes) -> bytes:
        check = 0
        for byte in head:
            check ^= byte
        return head + bytes((check,)) + close


class LprFrame(Driver):
    Options: ClassVar[type[Options]] = LprOptions
    reads_identifiers = True
    summary = "licence-plate readers that send framed text: Nedap ANPR (raw and protocolled), AxxonSoft, own templates"
    schemes = ("serial", "tcp", "rfc2217")
    options: LprOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset(), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        codec = (ProtocolledCodec if options.preset == "nedap_protocolled" else TextCodec)(self.name, options)
        self.silent_after_s = options.silent_after_s or math.inf
        async with connect(self) as link:
            if not options.silent_after_s:
                alive()  # an open link is all that can be known
            while True:
                data, time_ns = await link.read()
                for record in codec.feed(data, time_ns):
                    if isinstance(record, Send):
                        await link.say(record.data)
                        continue
                    if isinstance(record, Rejected):
                        emit(record)
                        continue
                    alive()
                    if isinstance(record, PlateRead):
                        emit(record)
