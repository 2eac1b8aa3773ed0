"""Every codec with frames that it knows: for the tests with hostile bytes, and for `tests/bench/bench_codecs.py`."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymodbus.pdu.register_message import ReadInputRegistersRequest

from drivers import (
    chrony,
    hbm_aed,
    hikvision_isapi,
    labjack_t7,
    llrp,
    mt_sics,
    scaime_enod4,
    sick_lms,
    sma_scale,
    thingmagic_mercury,
    toledo_continuous,
)
from drivers.base import ProtocolError, Serial
from drivers.camera_stream import CameraCodec, CameraOptions
from drivers.dataq_cdc import DataqOptions, ScanCodec
from drivers.events import Rejected
from drivers.gpsd import GpsdCodec
from drivers.http_body import documents_of
from drivers.http_posts import Head, HttpPosts, Request
from drivers.json_events import JsonOptions, JsonReader, LineCodec
from drivers.lpr_frame import LprOptions, ProtocolledCodec, TextCodec
from drivers.modbus import RtuFrames, TcpFrames
from drivers.multipart import MultipartReader
from drivers.plates import Plates
from drivers.rfc2217 import Rfc2217Client
from drivers.transcore_encompass import TransCoreCodec, TransCoreOptions, crc


@dataclass(frozen=True)
class Subject:
    """`frames(n)` gives n good frames one after another; `resyncs` where the codec finds back by itself; `whole` where
    it takes one frame at a time."""

    make: Callable[[], Any]
    frames: Callable[[int], list[bytes]]
    resyncs: bool = True
    whole: bool = False


def _t7(count: int) -> list[bytes]:
    head = ">HHHBBBBHHH"
    samples = struct.pack(">512H", *range(33000, 33512))
    return [struct.pack(head, i & 0xFFFF, 0, 10 + 1024, 1, 76, 16, 0, 0, 0, 0) + samples for i in range(count)]


def _ecp(count: int) -> list[bytes]:
    texts = [b"%XKING %d" % (2 * i % 16, 1000 + i) for i in range(count)]
    return [b"#%s%s\r\n" % (text, crc(text)) for text in texts]


def _enod4(count: int) -> list[bytes]:
    out = []
    for i in range(count):
        plain = struct.pack(">H", 0x0090) + (i * 37 % 400_000).to_bytes(3, "big")
        stuffed = b"".join(b"\x10" + bytes((b,)) if b in (2, 3, 16) else bytes((b,)) for b in plain)
        out.append(b"\x02" + stuffed + bytes(((2 + sum(plain)) & 0xFF | 0x80, 3)))
    return out


def _protocolled(count: int) -> list[bytes]:
    out = []
    for i in range(count):
        head = bytes.fromhex("89ABCDEF") + struct.pack(">II", i + 1, 10) + b"46HVR9-NLD"
        check = 0
        for byte in head:
            check ^= byte
        out.append(head + bytes((check,)) + bytes.fromhex("12345678"))
    return out


_TAG = bytes.fromhex(
    "FF282200001000 1B01FF0101C4110E1640000001270000050000 0F00803000 000000000000000000001545E94A561D"
)
_REPORT = bytes.fromhex(
    "043D00000038 0000004D 00F0002E 8DE2801160600002054CC2096F 810001 86CA"
    "82 0000000000000001 84 0000000000000002 880007 8C3000"
)
_LMS = (
    b"\x02sSN LMDscandata 1 1 8D4C04 0 0 45FF 37 280F6 28A73 0 0 7 0 0 1388 168 0 1 "
    b"DIST1 3F800000 00000000 FFF92230 1388 6 7E 82 7D 79 83 10 0 0 0 0 0 0\x03"
)
_TOLEDO = bytes.fromhex("022A30203031383235303030303030300D27")
_TPV = b'{"class":"TPV","device":"/dev/ttyS0","mode":3,"time":"2026-11-24T05:22:17.000Z","lat":42.31}\r\n'
_DAHUA = (
    b"--myboundary\r\nContent-Type: text/plain\r\nContent-Length: 131\r\n\r\nCode=TrafficJunction;action=Pulse;"
    b'index=0;data={"TrafficCar":{"PlateNumber":"AB12CD","Country":"SE"},"UTC":1795500959,"UTCMS":250}\r\n'
)
_ALERT = (
    b"\r\n--boundary\r\nContent-Type: application/xml\r\n\r\n<EventNotificationAlert><eventType>ANPR</eventType>"
    b"<ANPR><licensePlate>AB12CD</licensePlate></ANPR></EventNotificationAlert>\r\n"
)
_AXIS = (
    b'{"packetCounter":"67781","datetime":"20261124 061559000","plateText":"\\u0041B12CD","plateCountry":"BGR",'
    b'"plateConfidence":"0.727815","carState":"lost","carID":"102","plateCoordinates":[420,180,356,66]}'
)
_R700 = (
    b'{"timestamp":"2026-11-24T06:15:59.278427551Z","hostname":"impinj-13-f8-f5","eventType":"tagInventory",'
    b'"tagInventoryEvent":{"epcHex":"E2801190A5021F80055817CA","antennaPort":1,"peakRssiCdbm":-2650}}\r\n'
)
_PART = b"\r\n--B\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nHeartbeat\r\n--B\r\n"
_CHUNKED = (
    b"POST /plates HTTP/1.1\r\nHost: h\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\n<a/>\r\n1\r\n\n\r\n0\r\n\r\n"
)
_POST = b"POST /plates HTTP/1.1\r\nHost: h\r\nContent-Type: application/xml\r\nContent-Length: 5\r\n\r\n<a/>\n"


_EVENT = (
    b'--B\r\nContent-Disposition: form-data; name="anpr.xml"\r\n\r\n<EventNotificationAlert><eventType>ANPR</eventType>'
    b"<dateTime>2026-11-24T08:15:59+02:00</dateTime><ANPR><licensePlate>AB123CD</licensePlate>"
    b"<confidenceLevel>87</confidenceLevel></ANPR></EventNotificationAlert>\r\n--B--\r\n"
)
_TRACKING = (
    b"C0A80001,192.168.0.1,2,1795500959.1,0.000001,0.000002,0.000003,-12.3,0.001,0.02,0.0005,0.0007,64.2,Normal\n"
)


class _Http:
    """The request codec in the shape of the others."""

    def __init__(self) -> None:
        self._codec = HttpPosts()

    def feed(self, data: bytes, time_ns: int) -> list[Request]:
        if self._codec.closes:
            raise ProtocolError("http_closed", "the device said that this was its last request")
        self._codec.feed(data)
        out = []
        while not self._codec.closes and (request := self._codec.next()) is not None:
            out.append(request)
            self._codec.answer(200)
        return out


class _Stream:
    """The event stream of a camera."""

    def __init__(self, maker: str) -> None:
        self._codec = CameraCodec("d", CameraOptions(maker=maker))  # type: ignore[arg-type]

    def feed(self, data: bytes, time_ns: int) -> list[Any]:
        return [*self._codec.feed(data, time_ns), *self._codec.quiet(time_ns)]


class _Json:
    """Bodies of posts."""

    def __init__(self, preset: str) -> None:
        self._reader = JsonReader("d", JsonOptions(preset=preset))  # type: ignore[arg-type]

    def feed(self, data: bytes, time_ns: int) -> list[Any]:
        return self._reader.read_all(data, time_ns)


class _Multipart:
    """The stream of a camera in the shape of the others."""

    def __init__(self) -> None:
        self._codec = MultipartReader("B")

    def feed(self, data: bytes, time_ns: int) -> list[Any]:
        return [Rejected("d", time_ns, part.fault) if part.fault else part for part in self._codec.feed(data)]


class _Scans:
    def __init__(self) -> None:
        self._codec = ScanCodec(DataqOptions(scan_list=("AIN0", "AIN1", "AIN2", "AIN3"), scan_rate_hz=1000.0))

    def feed(self, data: bytes, time_ns: int) -> list[Any]:
        return [self._codec.feed(data)]


class _Camera:
    """The bodies of a camera's posts."""

    def feed(self, data: bytes, time_ns: int) -> list[Any]:
        kind = "multipart/form-data; boundary=B"
        request = Request(Head("POST", "/", {"content-type": kind}), documents_of(kind, data))
        try:
            return [hikvision_isapi.read_post(request, "d", time_ns, Plates()).read]
        except ProtocolError as error:
            return [Rejected("d", time_ns, error.reason)]


class _SerialServer:
    """What comes from a serial server, as bytes of its line."""

    def __init__(self) -> None:
        self._codec = Rfc2217Client(Serial())

    def feed(self, data: bytes, time_ns: int) -> list[bytes]:
        return [self._codec.feed(data)[0]]


def _served(count: int) -> list[bytes]:
    settled = bytes.fromhex("FFFD2C FFFA2C65 00002580 FFF0")
    return [settled + b"%d\xff\xff kg\r\n" % i for i in range(count)]


class _Modbus:
    """Replies to one request for two input registers."""

    def __init__(self, frames: RtuFrames | TcpFrames) -> None:
        self._frames = frames
        self._request = ReadInputRegistersRequest(address=0, count=2, dev_id=1)
        self._frames.encode(self._request)
        self._buffer = bytearray()

    def feed(self, data: bytes, time_ns: int) -> list[bytes]:
        self._buffer += data
        out = []
        while (pdu := self._frames.take(self._buffer, self._request)) is not None:
            out.append(pdu)
        return out


class _Chrony:
    def feed(self, data: bytes, time_ns: int) -> list[chrony.Tracking]:
        return [chrony.parse(data.decode("latin-1"))]


SUBJECTS = {
    "modbus rtu": Subject(
        lambda: _Modbus(RtuFrames()), lambda count: [bytes.fromhex("01 04 04 00 00 47 4A 49 83")] * count
    ),
    "modbus tcp": Subject(
        lambda: _Modbus(TcpFrames()),
        lambda count: [bytes.fromhex("0001 0000 0007 01 04 04 0000474A")] * count,
        resyncs=False,
    ),
    "rfc2217": Subject(_SerialServer, _served, resyncs=False),
    "chrony": Subject(_Chrony, lambda count: [_TRACKING] * count, resyncs=False, whole=True),
    "hikvision_isapi event": Subject(_Camera, lambda count: [_EVENT] * count, whole=True),
    "labjack_t7": Subject(
        lambda: labjack_t7.StreamCodec("d", labjack_t7.ScanList(("AIN0", "AIN1", "AIN2", "AIN3")), 128), _t7
    ),
    "transcore_encompass": Subject(lambda: TransCoreCodec("d"), lambda count: [b"#KING 1302\r\n"] * count),
    "transcore_encompass ecp": Subject(lambda: TransCoreCodec("d", TransCoreOptions(protocol="ecp")), _ecp),
    "lpr_frame raw": Subject(
        lambda: TextCodec("d", LprOptions()),
        lambda count: [b"\x0246HVR9;NLD;87;2011-07-28;12-34-56;%d\x03" % (1042 + i) for i in range(count)],
    ),
    "lpr_frame protocolled": Subject(
        lambda: ProtocolledCodec("d", LprOptions(preset="nedap_protocolled")), _protocolled
    ),
    "lpr_frame axxonsoft": Subject(
        lambda: TextCodec("d", LprOptions(preset="axxonsoft")),
        lambda count: [b"\x022026112412345601A123BC77  \x03"] * count,
    ),
    "scaime_enod4": Subject(lambda: scaime_enod4.FastCodec("d", scaime_enod4.ScaimeOptions()), _enod4),
    "hbm_aed ascii": Subject(lambda: hbm_aed.AsciiCodec("d"), lambda count: [b"0200000,008\r\n"] * count),
    "hbm_aed binary": Subject(
        lambda: hbm_aed.BinaryCodec("d"),
        lambda count: [(1_024_000 + i % 50).to_bytes(3, "big") + b"\x08" for i in range(count)],
        resyncs=False,
    ),
    "toledo_continuous": Subject(
        lambda: toledo_continuous.ToledoCodec("d", toledo_continuous.ToledoOptions()), lambda count: [_TOLEDO] * count
    ),
    "sick_lms": Subject(lambda: sick_lms.ColaCodec("d"), lambda count: [_LMS] * count),
    "sma_scale": Subject(lambda: sma_scale.SmaCodec("d"), lambda count: [b"\n 1G       18250kg \r"] * count),
    "mt_sics": Subject(lambda: mt_sics.SicsCodec("d"), lambda count: [b"S S      18250 kg\r\n"] * count),
    "thingmagic_mercury": Subject(lambda: thingmagic_mercury.MercuryCodec("d"), lambda count: [_TAG] * count),
    "llrp": Subject(llrp.MessageCodec, lambda count: [_REPORT] * count, resyncs=False),
    "gpsd": Subject(lambda: GpsdCodec("d"), lambda count: [_TPV] * count),
    "camera_stream dahua": Subject(lambda: _Stream("dahua"), lambda count: [_DAHUA] * count),
    "camera_stream hikvision": Subject(lambda: _Stream("hikvision"), lambda count: [_ALERT] * count),
    "json_events axis": Subject(lambda: _Json("axis_lpv"), lambda count: [_AXIS] * count, whole=True),
    "json_events stream": Subject(
        lambda: LineCodec("d", JsonReader("d", JsonOptions(preset="impinj_r700"))), lambda count: [_R700] * count
    ),
    "multipart": Subject(_Multipart, lambda count: [_PART] * count),
    "http posts": Subject(_Http, lambda count: [_POST, _CHUNKED] * (count // 2) + [_POST] * (count % 2), resyncs=False),
    "dataq_cdc": Subject(
        _Scans, lambda count: [struct.pack("<4h", i % 30000, -1, 0, 7) for i in range(count)], resyncs=False
    ),
}


def is_good(record: Any) -> bool:
    return not isinstance(record, Rejected)


def hostile(rng: random.Random, frames: list[bytes], size: int) -> bytes:
    """Noise, and good frames that were flipped, cut, doubled and merged: about `size` bytes."""
    out = bytearray()
    while len(out) < size:
        kind = rng.randrange(5)
        frame = bytearray(rng.choice(frames))
        if kind == 0:
            out += rng.randbytes(rng.randrange(1, 200))
            continue
        if kind == 1:
            for _ in range(rng.randrange(1, 4)):
                frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del frame[rng.randrange(len(frame)) :]
        elif kind == 3:
            at = rng.randrange(len(frame))
            frame[at:at] = rng.choice(frames)[: rng.randrange(60)]
        out += frame
    return bytes(out)


def buffered(codec: Any) -> int:
    """Bytes that a codec holds back."""
    inner = getattr(codec, "_codec", codec)
    parts = (inner, getattr(inner, "_reader", None))
    values = (value for part in parts if part is not None for value in vars(part).values())
    return sum(len(value) for value in values if isinstance(value, bytes | bytearray))
