"""What the waits need of the last hours, kept beside the journal, so that a restart costs nothing.

In: the sightings that the waits are fed, as they come; out, after a start: the same sightings, to be fed again. So the
state of the queues is not stored but made anew by the code that made it, and an upgrade that changes the estimate needs
no conversion. Called by `edge.daemon`; `edge.crossing` feeds.

A file holds an hour and a bit: a line that says what it is, then frames, each sealed (ChaCha20-Poly1305, key of the
rotation period). Plates and tags are tokens (edge/exchange/tokens.py), under the key of their period, as on the broker
of a site: nothing in clear, and nothing that outlives the rotation. Without `[identity]` there is no key, so counts
and booths alone are kept. A file that is damaged, of another version, configuration or key, or from the future is set
aside with all that is older, said, and work begins anew. Everything is gone `KEPT_NS` after it was begun, and an hour.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Struct

from edge import config as cfg
from edge.exchange.codec import Record, record_of, sightings_of
from edge.exchange.tokens import ExchangeKeys
from edge.waiting.sightings import BoothChange, LoopCount, PlateSighting, Sighting, TagSighting, TokenSighting

_NS = 1_000_000_000
KEPT_NS = 6 * 3600 * _NS  # a vehicle that has not come after so long does not come
_FILE_NS = 3600 * _NS
_AHEAD_NS = 60 * _NS  # a frame from further in the future comes from a wrong clock
_NONCE_BYTES = 12
_MOST_FRAME = 1 << 22
_MOST_WAITING = 20_000  # sightings between two writes; more are lost to a restart
_SUFFIX, _ASIDE = ".waits", ".set-aside"


class _Head(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of a file."""

    schema: Literal["borderflow/waits-memory/1"] = "borderflow/waits-memory/1"
    config: str


class _Frame(Struct, frozen=True, array_like=True):
    """What was seen up to `time_ns`; `told_ns`: the last interval of which messages were made."""

    time_ns: int
    told_ns: int | None
    records: tuple[Record, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Frame).decode
_decode_head = msgspec.json.Decoder(_Head).decode


@dataclass(slots=True)
class Recalled:
    """What was kept: sightings in the order in which they came, and what could not be used, in words."""

    sightings: list[Sighting] = field(default_factory=list)
    last_ns: int | None = None  # until then this computer looked
    told_ns: int | None = None
    trouble: list[str] = field(default_factory=list)


def digest_of(config: cfg.Config) -> str:
    """Of what sightings of this crossing mean: another configuration of lanes or points makes another crossing."""
    lanes = [(lane.id, lane.traffic, lane.direction, lane.program, lane.booths) for lane in config.lane]
    points = [(point.name, point.x_m) for point in config.point]
    return cfg.digest((config.site.country, config.site.port, lanes, points))


class Memory:
    """`keys` are those of tokens, None without a secret; `random` gives nonces. OSError is for the caller."""

    def __init__(
        self,
        folder: Path,
        config: cfg.Config,
        keys: ExchangeKeys | None,
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._folder = folder
        self._head = _Head(config=digest_of(config))
        self._identities = keys is not None
        self._keys = keys or ExchangeKeys(b"counts and booths alone", 24 * 3600 * _NS)
        self._random = random
        self._records: list[Record] = []
        self._told_ns: int | None = None
        self._news = False
        self._fd: int | None = None
        self._began_ns = 0
        self.lost = 0  # sightings that could not be kept

    # ---- in --------------------------------------------------------------------------------------------------

    def note(self, sighting: Sighting) -> None:
        """The waits were fed this. A plate in clear is left to the tokens that come with it."""
        if isinstance(sighting, PlateSighting):
            return
        if not self._identities and not isinstance(sighting, LoopCount | BoothChange):
            return
        if len(self._records) >= _MOST_WAITING:
            self.lost += 1
            return
        self._records.append(_record(sighting, self._keys))

    def told(self, end_ns: int) -> None:
        """Messages of the interval that ends at `end_ns` were made."""
        self._told_ns, self._news = end_ns, True

    def write(self, now_ns: int) -> None:
        """What came since the last time goes to the disk's cache: it survives the process, not yet the power."""
        if not self._records and not self._news:
            return
        frame = _encode(_Frame(now_ns, self._told_ns, tuple(self._records)))
        if self._fd is None or not 0 <= now_ns - self._began_ns < _FILE_NS:
            self._begin(now_ns)
        assert self._fd is not None
        period = now_ns // self._keys.period_ns
        nonce = self._random(_NONCE_BYTES)
        sealed = ChaCha20Poly1305(self._keys.keeping(period)).encrypt(nonce, frame, self._head.config.encode())
        body = period.to_bytes(8, "big") + nonce + sealed
        self._append(len(body).to_bytes(4, "big") + body)
        self._records, self._news = [], False

    def sync(self) -> None:
        """What was written survives the power too; may take as long as the disk."""
        if self._fd is not None:
            os.fdatasync(self._fd)

    def forget(self) -> None:
        """The clock leapt: times from before it say nothing."""
        self._records, self._told_ns, self._news = [], None, False
        self._close()
        for path in self._files(_SUFFIX):
            path.unlink(missing_ok=True)

    def renew(self, config: cfg.Config, now_ns: int) -> Recalled:
        """Another configuration from now on. Gives what was kept under the one before, and keeps it on: of lanes and
        points that are no more nobody asks. OSError before anything changed."""
        self.write(now_ns)
        kept = self.recall(now_ns)
        kept.sightings = [seen for seen in kept.sightings if seen.time_ns >= now_ns - KEPT_NS]
        head = _Head(config=digest_of(config))
        if head != self._head:
            self.forget()
            self._head = head
            for seen in kept.sightings:
                self.note(seen)
            if kept.told_ns is not None:
                self.told(kept.told_ns)
        return kept

    def close(self) -> None:
        self._close()

    # ---- out -------------------------------------------------------------------------------------------------

    def recall(self, now_ns: int) -> Recalled:
        """What was kept and is still of use; call it before anything is written."""
        out = Recalled()
        if not self._folder.is_dir():
            return out
        self._expire(now_ns)
        files = self._files(_SUFFIX)
        for number, path in enumerate(files):
            try:
                frames = self._read(path, now_ns)
            except _UnusableError as error:
                for old in files[: number + 1]:
                    old.rename(old.with_suffix(_ASIDE))
                out = Recalled(trouble=[*out.trouble, f"{path}: {error}; set aside, waits begin anew"])
                continue
            for frame in frames:
                out.sightings += [s for record in frame.records for s in sightings_of(record)]
                out.last_ns = max(frame.time_ns, out.last_ns or frame.time_ns)
                out.told_ns = frame.told_ns if frame.told_ns is not None else out.told_ns
        return out

    def _read(self, path: Path, now_ns: int) -> list[_Frame]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _UnusableError(f"cannot be read ({error.strerror})") from None
        line, _, rest = data.partition(b"\n")
        try:
            head = _decode_head(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if b"\n" not in data[:1024] and len(data) < 1024:
                return []  # the power went while it was begun
            raise _UnusableError("is of another version or damaged") from None
        if head.config != self._head.config:
            raise _UnusableError("is of another configuration of lanes and points")
        frames = []
        while len(rest) >= 4:
            size = int.from_bytes(rest[:4], "big")
            if not 8 + _NONCE_BYTES < size <= _MOST_FRAME:
                raise _UnusableError("is damaged")
            if len(rest) < 4 + size:
                break  # the process or the power went while it was written
            frames.append(self._open(rest[4 : 4 + size], now_ns))
            rest = rest[4 + size :]
        return frames

    def _open(self, body: bytes, now_ns: int) -> _Frame:
        period, nonce, sealed = int.from_bytes(body[:8], "big"), body[8 : 8 + _NONCE_BYTES], body[8 + _NONCE_BYTES :]
        if period > now_ns // self._keys.period_ns + 1:
            raise _UnusableError("is from the future; the clock was set back")
        try:
            plain = ChaCha20Poly1305(self._keys.keeping(period)).decrypt(nonce, sealed, self._head.config.encode())
            frame = _decode(plain)
        except InvalidTag:
            raise _UnusableError("is damaged, or sealed with another key") from None
        except msgspec.MsgspecError:
            raise _UnusableError("is of another version") from None
        if frame.time_ns > now_ns + _AHEAD_NS:
            raise _UnusableError("is from the future; the clock was set back")
        return frame

    # ---- files -----------------------------------------------------------------------------------------------

    def _files(self, suffix: str) -> list[Path]:
        """In the order of time."""
        return sorted(path for path in self._folder.glob(f"*{suffix}") if path.stem.isdigit() and path.is_file())

    def _begin(self, now_ns: int) -> None:
        self._close()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._expire(now_ns)
        path = self._folder / f"{now_ns:020d}{_SUFFIX}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._began_ns = now_ns
        try:
            self._append(msgspec.json.encode(self._head) + b"\n")
        except OSError:  # without its first line a file is of no use
            self._close()
            path.unlink(missing_ok=True)
            raise

    def _append(self, data: bytes) -> None:
        """All of it or nothing: after half of it nobody could read on."""
        assert self._fd is not None
        size = os.fstat(self._fd).st_size
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError("the disk took a part only")
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def _expire(self, now_ns: int) -> None:
        """A file is begun at the time of its name and holds an hour."""
        for suffix in (_SUFFIX, _ASIDE):
            for path in self._files(suffix):
                if int(path.stem) < now_ns - KEPT_NS - _FILE_NS:
                    path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class _UnusableError(Exception):
    """A file cannot be used; the text says why."""


def _record(sighting: Sighting, keys: ExchangeKeys) -> Record:
    """Identities are tokens already: of this computer, or of another that sent them."""
    at = (sighting.time_ns, sighting.lane, sighting.point)
    match sighting:
        case TagSighting():
            return Record(*at, "rfid", tags=(bytes.fromhex(sighting.id),), confidence=sighting.confidence)
        case TokenSighting():
            return Record(*at, "plate", plates=sighting.tokens, confidence=sighting.confidence)
        case _:
            return record_of(sighting, keys)
