"""Rows out of the bytes of an SQLite file whose trees can no longer be walked. No I/O, no SQLite.

In: pages; out: records of every table leaf among them, also of pages that no table holds any more. Called by
`edge.delivery.salvage`, which knows by its seals which records are what they were. After the description of the format
at sqlite.org/fileformat2.html, sections 1.6 and 2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Value = int | str | bytes | None  # the journal holds no other
Record = tuple[int, list[Value]]  # rowid, columns
_LEAF_OF_TABLE = 13
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
_MOST_COLUMNS = 32


def records(page: bytes, page_of: Callable[[int], bytes], header: int = 0) -> Iterator[Record]:
    """Of one page, those that can be read; `page_of` gives overflow pages, `header` is 100 on the first page."""
    if len(page) < header + 8 or page[header] != _LEAF_OF_TABLE:
        return
    count = int.from_bytes(page[header + 3 : header + 5])
    for index in range(min(count, len(page) // 4)):
        at = int.from_bytes(page[header + 8 + 2 * index : header + 10 + 2 * index])
        try:
            yield _cell(page, at, page_of)
        except (IndexError, ValueError):
            continue


def _cell(page: bytes, at: int, page_of: Callable[[int], bytes]) -> Record:
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    return _signed(rowid), _columns(_payload(page, at, size, page_of))


def _payload(page: bytes, at: int, size: int, page_of: Callable[[int], bytes]) -> bytes:
    usable = len(page)
    if size <= usable - 35:
        return page[at : at + size]
    least = (usable - 12) * 32 // 255 - 23
    here = least + (size - least) % (usable - 4)
    if here > usable - 35:
        here = least
    data = bytearray(page[at : at + here])
    following = int.from_bytes(page[at + here : at + here + 4])
    for _ in range(size // (usable - 4) + 1):
        if len(data) >= size or not following:
            break
        more = page_of(following)
        following = int.from_bytes(more[:4])
        data += more[4 : 4 + size - len(data)]
    return bytes(data)


def _columns(payload: bytes) -> list[Value]:
    length, at = _varint(payload, 0)
    kinds = []
    while at < length:
        kind, at = _varint(payload, at)
        kinds.append(kind)
        if len(kinds) > _MOST_COLUMNS:
            raise ValueError("no record of ours")
    return list(_values(payload, length, kinds))


def _values(payload: bytes, at: int, kinds: list[int]) -> Iterator[Value]:
    for kind in kinds:
        if kind >= 12:
            data = payload[at : at + (kind - 12) // 2]
            at += (kind - 12) // 2
            yield data.decode("utf-8", "replace") if kind % 2 else data
        elif kind in (8, 9):
            yield kind - 8
        elif 0 < kind < 7:
            size = _INTEGER_BYTES[kind]
            yield int.from_bytes(payload[at : at + size], signed=True)
            at += size
        else:
            yield None
        if at > len(payload):
            raise ValueError("the record is cut")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at]
        at += 1
        if count == 8:
            return value << 8 | byte, at
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
