"""RFC 2217, the client's side: a serial line behind a server that speaks Telnet with its COM-PORT-OPTION. No I/O.

    IAC WILL/DO/WONT/DONT option        what each side is ready to do: option 44 COM-PORT, 0 binary, 3 no go-ahead
    IAC SB 44 command value.. IAC SE    1 baud (4 bytes)  2 bits  3 parity (1 none, 2 odd, 3 even)  4 stop bits
                                        5 flow (1 none, 2 XON/XOFF, 3 RTS/CTS); the server answers command + 100 with
                                        the value that now holds
    IAC IAC                             a byte FF of the line

Strict is this only where the line would be wrong: a server that answers with another baud rate, another parity. What it
does not acknowledge is taken for done, and nothing is purged: ser2net 4.3.11 over a pseudo-terminal never acknowledges
SET-CONTROL, others never PURGE-DATA (ser2net issue 116 and pull request 37, labgrid issues 1396 and 1779), nor, seen in
ser2net issue 92, the line's settings at all. `drivers/links.py` gives it a TCP connection.

Source: RFC 2217, RFC 854.
"""

from __future__ import annotations

from drivers.base import Serial

_IAC, _DONT, _DO, _WONT, _WILL, _SB, _SE = 255, 254, 253, 252, 251, 250, 240
_BINARY, _NO_GO_AHEAD, _COM_PORT = 0, 3, 44
_OURS = (_COM_PORT, _BINARY, _NO_GO_AHEAD)  # what we are ready to do
_THEIRS = (_BINARY, _NO_GO_AHEAD)  # what we want of the server
_BAUD, _BITS, _PARITY, _STOP, _FLOW = 1, 2, 3, 4, 5
_ANSWER = 100  # a server's command is the client's plus this
_SUSPEND, _RESUME = 108, 109
_PARITIES = {"none": 1, "odd": 2, "even": 3}
_FLOWS = {"none": 1, "xonxoff": 2, "rtscts": 3}
_LONGEST = 512  # of a subnegotiation; what is longer is no serial server's


class Rfc2217Client:
    """Bytes of the connection to bytes of the line, and what has to be said to the server.

    `agreed` is None until the server says whether it takes COM-PORT-OPTION; `suspended` while it takes no data.
    """

    def __init__(self, line: Serial, *, ignore_flow: bool = False) -> None:
        self.agreed: bool | None = None
        self.suspended = False
        self._wanted = {
            _BAUD: (line.baud, f"{line.baud} baud"),
            _BITS: (line.bits, f"{line.bits} data bits"),
            _PARITY: (_PARITIES[line.parity], f"parity {line.parity}"),
            _STOP: (line.stop, f"{line.stop} stop bits"),
            _FLOW: (_FLOWS[line.flow], f"flow control {line.flow}"),
        }
        self._flow_matters = line.flow != "none" and not ignore_flow
        self._told: dict[int, int] = {}
        self._refused: set[tuple[int, int]] = set()  # requests that were refused once; to refuse again makes a loop
        self._command = bytearray()  # a Telnet command of which more is to come

    def greeting(self) -> bytes:
        """What opens the conversation."""
        return b"".join(
            bytes((_IAC, verb, option)) for verb, options in ((_WILL, _OURS), (_DO, _THEIRS)) for option in options
        )

    def settings(self) -> bytes:
        """How the line is to be set."""
        out = bytearray()
        for command, (value, _) in self._wanted.items():
            data = value.to_bytes(4 if command == _BAUD else 1, "big")
            out += bytes((_IAC, _SB, _COM_PORT, command)) + escape(data) + bytes((_IAC, _SE))
        return bytes(out)

    @property
    def settled(self) -> bool:
        """Every setting that matters was acknowledged."""
        return all(command in self._told for command in (_BAUD, _BITS, _PARITY, _STOP))

    @property
    def refusal(self) -> str:
        """What the server says that it does otherwise; empty where it does as it was told, or says nothing."""
        for command, (value, text) in self._wanted.items():
            told = self._told.get(command)
            if told not in (None, 0, value) and (command != _FLOW or self._flow_matters):
                return text
        return ""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Bytes of the connection: what the line sent, and what is to be sent back to the server."""
        if not self._command and _IAC not in data:
            return data, b""
        line, answer = bytearray(), bytearray()
        for byte in data:
            if not self._command:
                if byte == _IAC:
                    self._command.append(byte)
                else:
                    line.append(byte)
                continue
            self._command.append(byte)
            if len(self._command) == 2 and byte not in (_SB, _WILL, _WONT, _DO, _DONT):
                if byte == _IAC:
                    line.append(byte)
                self._command.clear()  # another command of two bytes says nothing that matters here
            elif len(self._command) == 3 and self._command[1] != _SB:
                answer += self._option(self._command[1], byte)
                self._command.clear()
            elif self._ends_here():
                self._subnegotiation(bytes(self._command[2:-2]).replace(b"\xff\xff", b"\xff"))
                self._command.clear()
            elif len(self._command) > _LONGEST:
                self._command.clear()
        return bytes(line), bytes(answer)

    def _ends_here(self) -> bool:
        command = self._command
        if len(command) < 4 or command[1] != _SB or command[-1] != _SE or command[-2] != _IAC:
            return False
        inside = bytes(command[2:-1])
        return (len(inside) - len(inside.rstrip(b"\xff"))) % 2 == 1  # an even number of FF is data

    def _option(self, verb: int, option: int) -> bytes:
        if option == _COM_PORT:
            if verb in (_DO, _WILL):
                self.agreed = True
                return bytes((_IAC, _DO, option)) if verb == _WILL and self._first(verb, option) else b""
            if self.agreed is None and verb == _DONT:
                self.agreed = False
            return b""
        if verb == _DO and option not in _OURS and self._first(verb, option):
            return bytes((_IAC, _WONT, option))
        if verb == _WILL and option not in _THEIRS and self._first(verb, option):
            return bytes((_IAC, _DONT, option))
        return b""

    def _first(self, verb: int, option: int) -> bool:
        known = (verb, option) in self._refused
        self._refused.add((verb, option))
        return not known

    def _subnegotiation(self, body: bytes) -> None:
        if len(body) < 2 or body[0] != _COM_PORT:
            return
        if body[1] in (_SUSPEND, _RESUME):
            self.suspended = body[1] == _SUSPEND
        elif body[1] - _ANSWER in self._wanted and len(body) > 2:
            self._told[body[1] - _ANSWER] = int.from_bytes(body[2:6], "big")


def escape(data: bytes) -> bytes:
    """Bytes of the line as they go through the connection."""
    return data.replace(b"\xff", b"\xff\xff")
