"""Modbus servers without I/O, used by the emulators that speak it: request bytes in, reply bytes out.

Written from the Modbus application protocol and the device sheets alone. `MbapStream` frames Modbus TCP, `RtuLine`
Modbus RTU; a `Unit` answers PDUs. Function codes 1 to 6, 15 and 16.
"""

from __future__ import annotations

import struct

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4

MBAP = struct.Struct(">HHHB")  # transaction, protocol, length of what follows it, unit
MAX_PDU = 253


class ModbusError(Exception):
    """A request that is answered with an exception reply of this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code:02X}")
        self.code = code


class Unit:
    """One Modbus unit. Devices override the tables that they have; the others answer 'illegal address'."""

    functions: frozenset[int] = frozenset({1, 2, 3, 4, 5, 6, 15, 16})
    max_registers = 125
    exception: int | None = None  # a fault: the code that every request is answered with

    def read_coils(self, address: int, count: int) -> list[bool]:
        raise ModbusError(ILLEGAL_ADDRESS)

    def read_inputs(self, address: int, count: int) -> list[bool]:
        raise ModbusError(ILLEGAL_ADDRESS)

    def read_holding(self, address: int, count: int) -> list[int]:
        raise ModbusError(ILLEGAL_ADDRESS)

    def read_input_registers(self, address: int, count: int) -> list[int]:
        raise ModbusError(ILLEGAL_ADDRESS)

    def write_coils(self, address: int, values: list[bool]) -> None:
        raise ModbusError(ILLEGAL_ADDRESS)

    def write_holding(self, address: int, values: list[int]) -> None:
        raise ModbusError(ILLEGAL_ADDRESS)

    def other(self, function: int, body: bytes) -> bytes:
        """A function code outside the standard ones; the body of its reply."""
        raise ModbusError(ILLEGAL_FUNCTION)

    def answer(self, pdu: bytes) -> bytes:
        """The reply PDU for a request PDU of at least one byte."""
        if self.exception is not None:
            return bytes([pdu[0] | 0x80, self.exception])
        function = pdu[0]
        try:
            if function not in self.functions:
                raise ModbusError(ILLEGAL_FUNCTION)
            return bytes([function]) + self._answer(function, pdu[1:])
        except ModbusError as error:
            return bytes([function | 0x80, error.code])

    def _answer(self, function: int, body: bytes) -> bytes:
        if function not in (1, 2, 3, 4, 5, 6, 15, 16):
            return self.other(function, body)
        if len(body) < 4:
            raise ModbusError(ILLEGAL_VALUE)
        address, count = struct.unpack_from(">HH", body)
        if function in (1, 2):
            _check_span(address, count, 2000)
            bits = (self.read_coils if function == 1 else self.read_inputs)(address, count)
            packed = pack_bits(bits)
            return bytes([len(packed)]) + packed
        if function in (3, 4):
            _check_span(address, count, self.max_registers)
            words = (self.read_holding if function == 3 else self.read_input_registers)(address, count)
            return bytes([2 * count]) + struct.pack(f">{count}H", *words)
        if function == 5:
            if count not in (0x0000, 0xFF00):
                raise ModbusError(ILLEGAL_VALUE)
            self.write_coils(address, [count == 0xFF00])
            return body[:4]
        if function == 6:
            self.write_holding(address, [count])
            return body[:4]
        data = body[5:]
        if function == 15:
            _check_span(address, count, 1968)
            if len(body) < 5 or body[4] != (count + 7) // 8 or len(data) != body[4]:
                raise ModbusError(ILLEGAL_VALUE)
            self.write_coils(address, unpack_bits(data, count))
            return body[:4]
        _check_span(address, count, min(self.max_registers, 123))
        if len(body) < 5 or body[4] != 2 * count or len(data) != body[4]:
            raise ModbusError(ILLEGAL_VALUE)
        self.write_holding(address, list(struct.unpack(f">{count}H", data)))
        return body[:4]


def _check_span(address: int, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise ModbusError(ILLEGAL_VALUE)
    if address + count > 0x10000:
        raise ModbusError(ILLEGAL_ADDRESS)


def pack_bits(bits: list[bool]) -> bytes:
    """Bits as Modbus carries them: the first in bit 0 of the first byte."""
    packed = bytearray((len(bits) + 7) // 8)
    for place, bit in enumerate(bits):
        if bit:
            packed[place >> 3] |= 1 << (place & 7)
    return bytes(packed)


def unpack_bits(data: bytes, count: int) -> list[bool]:
    """The first `count` bits of packed ones; `data` must hold them."""
    return [bool(data[place >> 3] >> (place & 7) & 1) for place in range(count)]


class MbapStream:
    """Cuts the bytes of one Modbus TCP connection into (transaction, unit, PDU).

    A header that cannot be one (protocol not 0, impossible length) makes the stream `broken`: a device closes the
    connection then, because nothing marks the start of the next request.
    """

    def __init__(self, longest: int = MAX_PDU) -> None:
        self._buffer = bytearray()
        self._longest = longest
        self.broken = False

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        self._buffer += data
        requests: list[tuple[int, int, bytes]] = []
        while len(self._buffer) >= MBAP.size and not self.broken:
            transaction, protocol, length, unit = MBAP.unpack_from(self._buffer)
            if protocol != 0 or not 2 <= length <= self._longest + 1:
                self.broken = True
                break
            end = MBAP.size - 1 + length
            if len(self._buffer) < end:
                break
            requests.append((transaction, unit, bytes(self._buffer[MBAP.size : end])))
            del self._buffer[:end]
        if self.broken:
            self._buffer.clear()
        return requests


def mbap(transaction: int, unit: int, pdu: bytes) -> bytes:
    """A Modbus TCP frame."""
    return MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu


class RtuLine:
    """Requests of a Modbus RTU line addressed to one unit.

    A request ends where its function code says; with `silence` (3.5 characters and more have passed) a remainder that
    makes no request is thrown away. Frames with a wrong CRC, and those for other units, get no answer.
    """

    def __init__(self, address: int) -> None:
        self.address = address
        self._buffer = bytearray()

    def silence(self) -> None:
        self._buffer.clear()

    def feed(self, data: bytes) -> list[bytes]:
        """PDUs addressed to this unit (broadcasts included)."""
        self._buffer += data
        if len(self._buffer) > 512:
            del self._buffer[:-256]
        found: list[bytes] = []
        while len(self._buffer) >= 4:
            size = _rtu_request_size(self._buffer)
            if size is None:
                break
            frame = bytes(self._buffer[:size])
            if size and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
                del self._buffer[:size]
                if frame[0] in (self.address, 0):
                    found.append(frame[1:-2])
            else:
                del self._buffer[:1]
        return found

    def frame(self, pdu: bytes) -> bytes:
        body = bytes([self.address]) + pdu
        return body + crc16(body).to_bytes(2, "little")


def _rtu_request_size(buffer: bytearray) -> int | None:
    """Length of the request at the start of the buffer; None: more bytes are needed; 0: no request begins here."""
    function = buffer[1]
    if function in (1, 2, 3, 4, 5, 6):
        size = 8
    elif function in (15, 16):
        if len(buffer) < 7:
            return None
        size = 9 + buffer[6]
    else:
        return 0
    return size if len(buffer) >= size else None


def crc16(data: bytes) -> int:
    """CRC of Modbus RTU: polynomial A001 reflected, initial FFFF; sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc
