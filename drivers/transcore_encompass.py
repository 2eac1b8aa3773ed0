"""TransCore Encompass 4 and MPRX: the RFID reader of FAST and other trusted-trader lanes, RS-232/422, 9600 8N1.

ASCII messages begin with '#' and end with CR LF (from the reader) or CR (from the host).

    data mode    #<data>\\r\\n                     unsolicited, one for each tag read, not answered
    with ECP     #<seq><data><crc>\\r\\n           seq an even hex digit; answered #<seq>@<crc>\\r (got it) or
                                                 #<seq>?<crc>\\r (send again); the reader repeats until it is answered
    host, ECP    #<seq><command><crc>\\r          seq an odd hex digit; the reply has the same seq

    <data>  tag id [&HH:MM:SS.hh MM/DD/YY] [%xx-y-zz-q[-sss]]       xx reader, y antenna, zz reads of the tag before
    <crc>   four hex digits, polynomial 1021, register 0, message bits shifted in below, nothing appended; over all
            after '#' up to the CRC

The reader says nothing while no tag comes, so a quiet line is probed: `#01` (command mode) and, when that is answered,
`#00` (back to data mode), each answered `#Done`. Repeated reads of a tag are passed on as they come; edge decides what
is one passage.

A two-wire line or a terminal server with local echo gives our own commands back: "01" and "00" would pass for tags. The
link takes them out (`Link.say`).

A reader that was set to ECP while this says `data` would give tags with its numbers and CRC: these are rejected as
`ecp_frame`; set `protocol = "ecp"`.

Sources: Encompass 4 System Guide, MPRX guide (CRC listing). Unconfirmed on hardware: the CRC against a printed example
(`crc_wildcard = true` sends "````", which the reader takes for any CRC); that the few milliseconds in command mode lose
no tag (`probe_s = 0` never probes; then silence is no alarm).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options
from drivers.crc import crc_1021
from drivers.events import Rejected, TagRead
from drivers.framing import Frame, FrameCodec, Skip
from drivers.links import connect

_START, _END = 0x23, 0x0D  # '#' and CR
_PADDING = b"\r\n\x00\x11\x13"  # between messages; with XON and XOFF
_LONGEST = 128  # of a message; the tag id with all its parts has at most 72 characters
_WILDCARD = b"````"
_AUX = re.compile(rb"%([0-9A-F]{2})-([0-9A-F])-([0-9A-F]{2})-([0-3])(?:-[0-9A-F]{1,3})?$")
_STAMP = re.compile(rb"&\d\d:\d\d:\d\d\.\d\d \d\d/\d\d/\d\d$")
_ECP = re.compile(rb"[02468ACE].+[0-9A-F]{4}")
_REPLY = re.compile(rb"Done$|Error\d{0,2}$|Model |MAIN |ECPS |IDAP |IOST |PWRB ")
_COMMAND_MODE, _DATA_MODE = b"01", b"00"


class TransCoreOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    protocol: Annotated[
        Literal["data", "ecp"], Meta(description="data: as the reader leaves the factory; ecp: with CRC and answers")
    ] = "data"
    crc_wildcard: Annotated[bool, Meta(description="send the CRC that the reader takes for any (ecp)")] = False
    probe_s: Annotated[float, Meta(ge=0, le=3, description="ask a quiet reader after this time; 0: never")] = 1.5
    min_tag_length: Annotated[int, Meta(ge=1, le=20, description="shorter tag ids are rejected as noise")] = 2


def crc(message: bytes) -> bytes:
    """The reader's CRC of what stands between '#' and the CRC, as four hex digits."""
    return b"%04X" % crc_1021(message, 0)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the reader says of itself: `Done`, an error, its model when it was switched on."""

    text: str


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes that the protocol wants sent back."""

    data: bytes


TransCoreRecord = TagRead | Reply | Send | Rejected


class TransCoreCodec(FrameCodec[TransCoreRecord]):
    """Bytes to tag reads, replies, and the answers that ECP asks for."""

    limit = 512

    def __init__(self, device: str, options: TransCoreOptions | None = None) -> None:
        super().__init__(device)
        self._options = options if options is not None else TransCoreOptions()
        self._last: tuple[int, bytes] | None = None  # of ECP: what was acknowledged last
        self._host_seq = 0xF

    def command(self, text: bytes) -> bytes:
        """The bytes of a command to the reader."""
        if self._options.protocol == "data":
            return b"#%s\r" % text
        self._host_seq = (self._host_seq + 2) & 0xF
        return self._sealed(b"%X%s" % (self._host_seq, text))

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[TransCoreRecord] | Skip | None:
        if buffer[0] in _PADDING:
            return Skip(1)
        if buffer[0] != _START:
            return Skip(1, "no_start")
        end = buffer.find(_END, 1, _LONGEST)
        again = buffer.find(_START, 1, _LONGEST)
        if again > 0 and (end < 0 or again < end):
            return Frame(again, (self._rejected(time_ns, "cut_short"),))  # '#' inside a message aborts it
        if end < 0:
            return Skip(1, "too_long") if len(buffer) >= _LONGEST else None
        return Frame(end + 1, self._message(bytes(buffer[1:end]), time_ns))

    def _message(self, message: bytes, time_ns: int) -> tuple[TransCoreRecord, ...]:
        if any(not 0x20 <= byte < 0x7F for byte in message):
            return (self._rejected(time_ns, "not_text"),)
        if self._options.protocol == "data":
            return self._data(message, time_ns)
        if _REPLY.match(message):  # the sign-on after power-up comes in the clear
            return self._data(message, time_ns)
        return self._ecp(message, time_ns)

    def _ecp(self, message: bytes, time_ns: int) -> tuple[TransCoreRecord, ...]:
        seq, body, check = message[:1], message[1:-4], message[-4:]
        if len(message) < 5 or seq not in b"0123456789ABCDEF":
            return (self._rejected(time_ns, "bad_seq"),)
        if check != _WILDCARD and check != crc(message[:-4]):
            return (self._rejected(time_ns, "bad_crc"), Send(self._sealed(seq + b"?")))
        number = int(seq, 16)
        if number % 2:
            return self._data(body, time_ns)  # the reply to a command of ours
        answer = Send(self._sealed(seq + b"@"))
        if self._last == (number, body):
            return (answer,)  # our answer was lost, so the reader repeats itself
        self._last = (number, body)
        return (answer, *self._data(body, time_ns))

    def _data(self, data: bytes, time_ns: int) -> tuple[TransCoreRecord, ...]:
        if _REPLY.match(data):
            if data.startswith(b"Model "):
                self._last = None  # switched on again: its numbers begin anew
            return (Reply(data.decode("ascii")),)
        antenna = None
        if aux := _AUX.search(data):
            antenna = int(aux[2], 16)
            data = data[: aux.start()]
        if stamp := _STAMP.search(data):
            data = data[: stamp.start()]
        tag = data.rstrip().decode("ascii")
        if self._options.protocol == "data" and _ECP.fullmatch(data) and data[-4:] == crc(data[:-4]):
            return (self._rejected(time_ns, "ecp_frame"),)  # a tag with a number before it and a CRC behind is none
        if len(tag) < self._options.min_tag_length or len(tag) > 72:
            return (self._rejected(time_ns, "bad_tag"),)
        return (TagRead(self.device, time_ns, tag, antenna),)

    def _sealed(self, message: bytes) -> bytes:
        return b"#%s%s\r" % (message, _WILDCARD if self._options.crc_wildcard else crc(message))

    def _rejected(self, time_ns: int, reason: str) -> Rejected:
        return Rejected(self.device, time_ns, reason)


class TransCoreEncompass(Driver):
    Options: ClassVar[type[Options]] = TransCoreOptions
    reads_identifiers = True
    summary = "TransCore Encompass 4 / MPRX RFID reader of trusted-trader lanes (serial ASCII, with or without ECP)"
    schemes = ("serial", "tcp", "rfc2217")
    options: TransCoreOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset(), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        codec = TransCoreCodec(self.name, self.options)
        probe_s = self.options.probe_s
        async with connect(self) as link:
            in_doubt = False  # the reader may be in command mode, where it reports no tags
            if probe_s:
                await link.say(codec.command(_DATA_MODE))  # an earlier session may have left it in command mode
            else:
                self.silent_after_s = math.inf
                alive()
            while True:
                try:
                    async with asyncio.timeout(probe_s or None):
                        data, time_ns = await link.read()
                except TimeoutError:
                    await link.say(codec.command(_DATA_MODE if in_doubt else _COMMAND_MODE))
                    in_doubt = not in_doubt
                    continue
                for record in codec.feed(data, time_ns):
                    if isinstance(record, Send):
                        await link.say(record.data)
                        continue
                    if isinstance(record, Rejected):
                        emit(record)
                        continue
                    alive()
                    if isinstance(record, TagRead):
                        emit(record)
                    elif in_doubt:
                        await link.say(codec.command(_DATA_MODE))
                        in_doubt = False
