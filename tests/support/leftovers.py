"""Looks for identities in whatever is left behind: every spelling in which a plate or a tag could lie in a file.

Also the ways of hiding one that hide nothing: an unkeyed hash of a plate is a plate, because there are so few of them.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np

_HASHES = ("md5", "sha1", "sha256", "sha512")
_SHORTEST = 4  # shorter identities would be found by chance


def spellings(identity: str) -> set[bytes]:
    """Everything that would give `identity` away."""
    tight = "".join(c for c in identity if c.isalnum())
    texts = {identity, tight, identity.replace(" ", "-"), identity.strip(), json.dumps(identity)[1:-1], quote(identity)}
    texts |= {text.lower() for text in texts} | {text.upper() for text in texts}
    texts = {text for text in texts if len(text) >= _SHORTEST}
    found: set[bytes] = set()
    for text in texts:
        raw = text.encode()
        found |= {raw, text.encode("utf-16-le"), raw[::-1], raw.hex().encode(), raw.hex().upper().encode()}
        found |= {raw.hex(" ").encode(), raw.hex(" ").upper().encode(), repr(list(raw))[1:-1].encode()}
        found |= {" ".join(text).encode(), ".".join(text).encode()}
        for ahead in range(3):  # base64 of a longer text that holds it
            coded = base64.b64encode(b"\0" * ahead + raw)
            found.add(coded[-(-ahead * 8 // 6) : (ahead + len(raw)) * 8 // 6])
        for name in _HASHES:
            digest = hashlib.new(name, raw).digest()
            found |= {digest, digest.hex().encode(), digest.hex()[:32].encode(), base64.b64encode(digest)}
    if len(tight) % 2 == 0 and len(tight) >= 16:
        try:
            raw = bytes.fromhex(tight)
        except ValueError:
            pass
        else:  # an EPC as the bytes that it is
            found |= {raw, base64.b64encode(raw), str(int.from_bytes(raw, "big")).encode()}
    return {spelling for spelling in found if len(spelling) >= _SHORTEST}


def found_in(blobs: dict[str, bytes], identities: Iterable[str]) -> list[str]:
    """Where identities were found: name of the blob, and the identity."""
    wanted = [(identity, spelling) for identity in sorted(set(identities)) for spelling in spellings(identity)]
    seen = []
    for name, blob in blobs.items():
        beginnings = _beginnings(blob)
        seen += [
            f"{name}: {identity} as {spelling!r}"
            for identity, spelling in wanted
            if spelling[:_SHORTEST] in beginnings and spelling in blob
        ]
    return seen


def _beginnings(blob: bytes) -> set[bytes]:
    """Every four bytes that follow each other in it: most spellings need no longer look."""
    found: set[bytes] = set()
    for start in range(_SHORTEST):
        words = np.frombuffer(blob[start : start + (len(blob) - start) // 4 * 4], np.uint32)
        found |= {int(word).to_bytes(4, sys.byteorder) for word in np.unique(words)}
    return found


def files_below(*directories: Path) -> dict[str, bytes]:
    """Every file, also what lies in the journal's write-ahead log."""
    paths = itertools.chain.from_iterable(directory.rglob("*") for directory in directories)
    return {str(path): path.read_bytes() for path in paths if path.is_file()}
