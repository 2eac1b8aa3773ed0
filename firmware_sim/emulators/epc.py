"""EPC Gen2 tags: the identity of a tag of the world in, the words in its EPC memory out; for the UHF readers."""

from __future__ import annotations


def epc_of(tag: str) -> bytes:
    """The EPC of a tag of the world: its hex digits, or its characters, in whole words of at least 96 bits."""
    try:
        data = bytes.fromhex(tag)
    except ValueError:
        data = tag.encode("ascii", "replace")
    return data[:62].ljust(max(12, (min(len(data), 62) + 1) // 2 * 2), b"\0")


def pc_of(epc: bytes) -> bytes:
    """The protocol control word: the length of the EPC in words, in its five upper bits."""
    return (len(epc) // 2 << 11).to_bytes(2, "big")


def epc_crc(epc: bytes) -> int:
    """The CRC that the tag itself sends with PC and EPC: CCITT, initial FFFF, inverted (ISO 18000-63)."""
    value = 0xFFFF
    for byte in pc_of(epc) + epc:
        value ^= byte << 8
        for _ in range(8):
            value = value << 1 ^ 0x1021 if value & 0x8000 else value << 1
            value &= 0xFFFF
    return value ^ 0xFFFF
