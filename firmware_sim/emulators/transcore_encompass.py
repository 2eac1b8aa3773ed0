"""TransCore Encompass: tags that pass in, the ASCII messages of the reader out; driven by `serve.py`.

A message is `#...` with CR from the host and CR LF from the reader. In data mode tags are sent as they are read; `#01`
goes to command mode, `#00` back. With the error correcting protocol (ECP) every message has a sequence digit and a CRC,
the reader's even, the host's odd, and the reader repeats what was not acknowledged. What the manual does not say is
marked ASSUMED.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.world.events import TagPassed, WorldEvent

SIGN_ON = b"Model E4 Series Ver 1.20 SN08001P"
WILDCARD_CRC = b"````"
TIMEOUT_STEP_S = 0.05
TIMEOUT_OFF = 0xFF
BUFFERED = 200  # ASSUMED: tags kept for a host that does not acknowledge or inquire; the oldest are lost
LONGEST = 96
INQUIRY, XON, XOFF = 0x05, 0x11, 0x13
BAUD_CODES = {2: 1200, 3: 2400, 4: 4800, 5: 9600, 6: 19200, 7: 38400}
STUCK_EVERY_S = 0.5
IN_FIELD_S = 1.0  # how long a tag stays in the field and is read again, so that a short command mode loses none

Protocol = Literal["basic", "ecp"]


def crc(text: bytes) -> bytes:
    """The reader's CRC as four hex digits: bits are shifted in from below, polynomial 1021, no closing zeros."""
    value = 0
    for byte in text:
        for place in range(7, -1, -1):
            carry = value & 0x8000
            value = (value << 1 | byte >> place & 1) & 0xFFFF
            if carry:
                value ^= 0x1021
    return b"%04X" % value


class TransCoreEncompass(Emulator):
    """The device core. `clock` gives the time of day that the reader's clock shows at a world time."""

    faults = frozenset({"stuck_tag", "clock_step", "phantom_tag"})

    def __init__(
        self,
        clock: Callable[[float], datetime],
        *,
        protocol: Protocol = "basic",
        append_time: bool = False,
        append_aux: bool = False,
    ) -> None:
        self._clock = clock
        self._defaults = (protocol, append_time, append_aux)
        self._clock_step = timedelta(0)
        self._stuck: bytes | None = None
        self._stuck_at_s = 0.0
        self._is_stuck = False
        self._now_s = 0.0
        self.baud: int = 9600
        self._power_up()

    def _power_up(self) -> None:
        self._protocol, self._append_time, self._append_aux = self._defaults
        self._command_mode = False
        self._inquiry = False
        self._flowing = True
        self._message: bytearray | None = None
        self._queue: deque[bytes] = deque(maxlen=BUFFERED)
        self._sequence = 0
        self._sent_at_s: float | None = None  # of the first in the queue; None: it has not been sent
        self._timeout_code = 0xFE
        self._in_field: list[tuple[bytes, float]] = []  # tags not reported because of command mode
        self._reader_id = 0
        self._reply: tuple[int, bytes] | None = None  # host's last sequence digit and what it was answered

    def reboot(self, now_s: float) -> Output:
        self._power_up()
        return [Send(b"#" + SIGN_ON + b"\r\n")]

    # --- from the host

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._now_s = now_s
        output: Output = []
        for byte in data:
            if byte == ord("#"):  # also in mid-message: the one before is void
                self._message = bytearray()
            elif byte == INQUIRY and self._message is None:
                if self._inquiry and self._queue and not self._command_mode:
                    output.append(self._framed(self._queue.popleft()))
            elif byte == XOFF:
                self._flowing = False
            elif byte == XON:
                self._flowing = True
            elif self._message is None:
                continue
            elif byte == 0x0D:
                message, self._message = bytes(self._message), None
                output += self._ecp(message, now_s) if self._protocol == "ecp" else self._basic(message)
            elif len(self._message) < LONGEST:
                self._message.append(byte)
            else:
                self._message = None
        return output + self._flush(now_s)

    def _basic(self, message: bytes) -> Output:
        answer = self._command(message)
        return [Send(b"#" + answer + b"\r\n")] if answer is not None else []

    def _ecp(self, message: bytes, now_s: float) -> Output:
        if len(message) < 6:
            return []
        body, check = message[:-4], message[-4:]
        if check not in (crc(body), WILDCARD_CRC):
            return []  # ASSUMED: a message with a wrong CRC gets no answer
        try:
            sequence = int(body[:1], 16)
        except ValueError:
            return []
        text = body[1:]
        if text in (b"@", b"?"):
            if text == b"@" and sequence == self._sequence and self._sent_at_s is not None:
                self._queue.popleft()
                self._sequence = self._sequence + 2 & 0xE
            self._sent_at_s = None  # the next one, or after NAK or a wrong sequence the same again
            return []
        if sequence % 2 == 0:
            return []
        if self._reply is not None and self._reply[0] == sequence:
            return [Send(self._reply[1])]
        answer = self._command(text)
        if answer is None:
            return []
        reply = b"#%X" % sequence + answer
        reply += crc(reply[1:]) + b"\r\n"
        self._reply = (sequence, reply)
        return [Send(reply)]

    def _command(self, text: bytes) -> bytes | None:
        """The answer to a command, or None. ASSUMED: in data mode only the commands that change the mode are heard."""
        if text == b"01":
            self._command_mode = True
            return b"Done"
        if text == b"00":
            self._command_mode = False
            still_there, self._in_field = self._in_field, []
            for tag, until_s in still_there:
                if self._now_s <= until_s:
                    self._read_tag(tag, self._now_s)
            return b"Done"
        if not self._command_mode:
            return None
        return self._commands(text)

    def _commands(self, text: bytes) -> bytes:
        match text[:3]:
            case b"300" | b"302":
                self._append_time = text[:3] == b"302"
            case b"310" | b"311":
                self._append_aux = text[:3] == b"311"
            case b"505":
                return SIGN_ON
            case b"520":
                return b"PWRB 0"
            case b"522":
                code = next((code for code, baud in BAUD_CODES.items() if baud == self.baud), 5)
                return b"MAIN B%d S0 P0 D0" % code
            case b"524":
                return b"IDAP T%d D%d X%d" % (self._append_time, self._append_time, self._append_aux)
            case b"525":
                mode = 2 if self._inquiry else int(self._protocol == "ecp")
                return b"ECPS P%d T%02X X1 S0" % (mode, self._timeout_code)
            case b"526":
                return b"C0 O0 I0 D0"
            case b"610":
                self._protocol, self._inquiry = "basic", False
            case b"611":
                self._protocol, self._inquiry = "ecp", False
            case b"613":
                self._inquiry = True
            case b"612" if _is_hex(text[3:], 2):
                self._timeout_code = int(text[3:], 16)
            case b"614" | b"620" | b"621" | b"690" | b"691" | b"692" | b"693" | b"694" | b"695" | b"696" | b"697":
                pass
            case _:
                return self._short_commands(text)
        return b"Done"

    def _short_commands(self, text: bytes) -> bytes:
        match text[:2]:
            case b"22":
                return self._time_of_day(self._now_s).encode()
            case b"20" | b"21" | b"64" | b"67":
                return b"Done"
            case b"60" if _is_hex(text[2:], 2):
                self._reader_id = int(text[2:], 16)
                return b"Done"
            case b"63":
                self._power_up()
                return SIGN_ON
            case b"10" if len(text) >= 4 and text[2:3] == b"0" and text[3:4].isdigit():
                code = int(text[3:4])
                if code in BAUD_CODES:
                    self.baud = BAUD_CODES[code]
                    return b"Done"
        return b"Error"

    # --- to the host

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if isinstance(event, TagPassed):
            self._read_tag(event.tag.encode("ascii", "replace"), now_s)
        return self._flush(now_s)

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        if self._is_stuck and self._stuck is not None and now_s >= self._stuck_at_s:
            self._stuck_at_s = now_s + STUCK_EVERY_S
            self._read_tag(self._stuck, now_s)
        if (
            self._protocol == "ecp"
            and self._sent_at_s is not None
            and self._timeout_code != TIMEOUT_OFF
            and now_s - self._sent_at_s >= self._timeout_code * TIMEOUT_STEP_S
        ):
            self._sent_at_s = None
        return self._flush(now_s)

    def _read_tag(self, tag: bytes, now_s: float) -> None:
        if self._is_stuck and self._stuck is None:
            self._stuck, self._stuck_at_s = tag, now_s + STUCK_EVERY_S
        if self._command_mode:
            self._in_field = [*self._in_field[-9:], (tag, now_s + IN_FIELD_S)]
            return
        text = tag
        if self._append_time:
            text += b"&" + self._time_of_day(now_s).encode()
        if self._append_aux:
            text += b"%%%02X-0-01-0" % self._reader_id
        self._queue.append(text)

    def _time_of_day(self, now_s: float) -> str:
        at = self._clock(now_s) + self._clock_step
        return f"{at:%H:%M:%S}.{at.microsecond // 10000:02d} {at:%m/%d/%y}"

    def _framed(self, text: bytes) -> Send:
        if self._protocol == "ecp":
            text = b"%X" % self._sequence + text
            text += crc(text)
        return Send(b"#" + text + b"\r\n")

    def _flush(self, now_s: float) -> Output:
        """What may be sent now: all that waits, in ECP the one that is due."""
        if not self._flowing or self._inquiry or self._command_mode:
            return []
        output: Output = []
        if self._protocol == "basic":
            output = [self._framed(text) for text in self._queue]
            self._queue.clear()
        elif self._queue and self._sent_at_s is None:
            self._sent_at_s = now_s
            output = [self._framed(self._queue[0])]
        return output

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "stuck_tag":
                self._is_stuck, self._stuck = active, None
                if active and "tag" in options:
                    self._stuck, self._stuck_at_s = str(options["tag"]).encode("ascii", "replace"), now_s
            case "phantom_tag" if active:
                self._read_tag(str(options.get("tag", "TEST 9999")).encode("ascii", "replace"), now_s)
            case "clock_step":
                self._clock_step = timedelta(seconds=float(options.get("step_s", 3600.0))) if active else timedelta(0)
        return self._flush(now_s)


def _is_hex(text: bytes, digits: int) -> bool:
    return len(text) == digits and all(byte in b"0123456789ABCDEF" for byte in text)
