"""The CRC that the tag readers of TransCore and ThingMagic share; their codecs call it.

Polynomial 1021, but not as usual: the message's bits are shifted in at the bottom, and no zeros are appended. Eight
bits at a time, with the remainder of each value of the upper byte from a table.
"""

from __future__ import annotations


def _remainder(top: int) -> int:
    register = top << 8
    for _ in range(8):
        register = (register << 1 ^ 0x1021 if register & 0x8000 else register << 1) & 0xFFFF
    return register


_TABLE = tuple(map(_remainder, range(256)))


def crc_1021(message: bytes | bytearray, register: int) -> int:
    """The register after `message`, from its value before."""
    for byte in message:
        register = (register << 8 & 0xFFFF | byte) ^ _TABLE[register >> 8]
    return register
