"""paho made quicker, and what that takes of its inside. The only file that uses private names of paho-mqtt.

Used by `edge.delivery.mqtt`. The names are those of paho-mqtt 2.2 (pyproject.toml holds it there) and are looked for at
import: another version fails at once with its remedy, and not at the first message.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Literal

from paho.mqtt.client import PUBLISH, Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

_READ_BYTES = 16_384
_METHODS = ("_handle_pubackcomp", "_packet_queue", "_do_on_publish", "_sock_recv", "_sock_send")
_FIELDS = ("_in_packet", "_out_messages", "_out_message_mutex")


def properties_of(packet: int) -> Properties:
    """Empty properties of a packet type (MQTT 5)."""
    return Properties(packet)  # type: ignore[no-untyped-call]


class QuickClient(Client):
    """paho made quicker: a batch goes out in one write, what has come is read at once and not byte by byte, and an
    acknowledgement costs no new objects. Without these overrides it works as well, at half the speed.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._held: list[bytes | bytearray] = []
        self._come, self._at = b"", 0
        self._end: OSError | None = None
        self._write_error: OSError | None = None
        self._reasons: dict[int, ReasonCode] = {}
        self._no_properties = properties_of(PacketTypes.PUBACK)

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        if cmd != "PUBACK" or len(packet) < 2:
            return super()._handle_pubackcomp(cmd)
        mid, code = int.from_bytes(packet[:2]), packet[2] if len(packet) > 2 else 0
        reason = self._reasons.get(code)
        if reason is None:
            reason = self._reasons[code] = ReasonCode(PacketTypes.PUBACK, identifier=code)
        with self._out_message_mutex:
            if mid in self._out_messages:
                return self._do_on_publish(mid, reason, self._no_properties)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _packet_queue(
        self, command: int, packet: bytes | bytearray, mid: int, qos: int, info: MQTTMessageInfo | None = None
    ) -> MQTTErrorCode:
        if command & 0xF0 == PUBLISH:
            self._held.append(packet)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._packet_queue(command, packet, mid, qos, info)

    def let_go(self) -> None:
        """Write what was published since the last time, as one packet to paho."""
        if self._held:
            batch, self._held = b"".join(self._held), []
            super()._packet_queue(PUBLISH, batch, 0, 1)

    def fill(self) -> None:
        """Read what the socket has; `loop_read` works from that."""
        try:
            self._come, self._at = super()._sock_recv(_READ_BYTES), 0
            if not self._come:
                self._end = self._write_error or ConnectionError("closed by the other side")
        except BlockingIOError:
            return
        except OSError as error:
            self._end = error

    def unread(self) -> bool:
        """Whether `loop_read` has something to do."""
        return self.socket() is not None and (self._at < len(self._come) or self._end is not None)

    def incoming_bytes(self) -> int:
        """Length of the packet that is being read."""
        return int(self._in_packet["remaining_length"])

    def _sock_send(self, buf: bytes | bytearray) -> int:
        """A write that fails ends nothing: what the other side said last (an alert of TLS, a DISCONNECT) may still wait
        to be read, and the end is met there."""
        if self._write_error is None:
            try:
                return super()._sock_send(buf)
            except BlockingIOError:
                raise
            except OSError as error:
                self._write_error = error
        raise BlockingIOError()

    def _sock_recv(self, bufsize: int) -> bytes:
        data = self._come[self._at : self._at + bufsize]
        if data:
            self._at += len(data)
            return data
        raise self._end or BlockingIOError()


def missing_names(client: type[Client]) -> list[str]:
    """What this file uses of a client and the class does not have."""
    probe = client(CallbackAPIVersion.VERSION2)
    return [name for name in (*_METHODS, *_FIELDS) if not hasattr(probe, name)]


if _missing := missing_names(Client):
    raise ImportError(
        f"paho-mqtt {version('paho-mqtt')} has no {', '.join(_missing)}; install one that was tried: "
        "pip install 'paho-mqtt>=2.2,<2.3'"
    )
