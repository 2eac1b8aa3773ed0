"""Signed configurations: an authority signs the file, and a computer with its public key takes nothing else.

In: the bytes of a configuration, FILE.sig beside it, the trusted key; out: the version that was signed, or ConfigError.
Called by `edge.config.file` before a single key is read, by the daemon, and by `borderflow sign`. The signature is
Ed25519 (RFC 8032) over version, time and the bytes of the file. The highest version that ran is kept in the state of
the computer: an older configuration with a good signature is refused, because it may be what an attacker kept.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.config import ConfigError

TRUST = Path("trust/config.pub")  # beside the configuration: where it exists, signatures are required
_MOST_BYTES = 4096
_PEM_BEGIN = b"-----BEGIN "


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What FILE.sig holds, as JSON."""

    version: int
    time: str
    signature: str


def signature_file(config: Path) -> Path:
    """`borderflow.toml.sig` of `borderflow.toml`."""
    return config.with_name(config.name + ".sig")


def sign(data: bytes, key: Ed25519PrivateKey, *, version: int, time: str) -> bytes:
    """The content of FILE.sig."""
    signature = key.sign(_signed_text(data, version, time)).hex()
    return msgspec.json.encode(Signature(version=version, time=time, signature=signature)) + b"\n"


def read_signature(config: Path) -> Signature:
    """FILE.sig of a configuration; ConfigError where it is missing or holds something else."""
    path = signature_file(config)
    try:
        return msgspec.json.decode(_read(path), type=Signature)
    except OSError as error:
        raise ConfigError(
            [f"{path}: cannot be read ({error.strerror}); this computer takes signed configurations only: "
             f"`borderflow sign --config {config.name} --key KEY` makes it"]
        ) from None  # fmt: skip
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError([f"{path}: is no signature ({error}); sign {config.name} again"]) from None


class Trust:
    """The public keys of those who may configure this computer."""

    def __init__(self, key_file: Path) -> None:
        """`key_file`: one or more Ed25519 public keys in PEM, so that a key can be replaced without a gap."""
        self._path = key_file
        try:
            data, mode = _read(key_file, 16 * _MOST_BYTES), key_file.stat().st_mode
        except OSError as error:
            raise ConfigError(
                [f"{key_file}: cannot be read ({error.strerror}); it must hold the public key for configurations"]
            ) from None
        if stat.S_IMODE(mode) & 0o022:
            raise ConfigError([f"{key_file}: others may change it; run `chmod go-w {key_file}`"])
        self._keys = [self._key(_PEM_BEGIN + part) for part in data.split(_PEM_BEGIN)[1:]]
        if not self._keys:
            raise ConfigError([f"{key_file}: holds no public key in PEM; `borderflow key --sign FILE` makes FILE.pub"])

    @classmethod
    def of(cls, config: Path, key_file: Path | None = None) -> Trust | None:
        """With the key file that was named, or the one beside the configuration; None where neither is."""
        if key_file is not None:
            return cls(key_file)
        beside = config.parent / TRUST
        return cls(beside) if os.path.lexists(beside) else None

    def check(self, config: Path, data: bytes) -> int:
        """The version of a configuration whose bytes are `data`; ConfigError where it is not signed as it must be."""
        found = read_signature(config)
        path = signature_file(config)
        text = _signed_text(data, found.version, found.time)
        try:
            signature = bytes.fromhex(found.signature)
        except ValueError:
            raise ConfigError(
                [f"{path}: is no signature (`signature` is not in hex); sign {config.name} again"]
            ) from None
        if not any(_fits(key, signature, text) for key in self._keys):
            raise ConfigError(
                [f"{path}: does not belong to {config} and a key of {self._path}: either was changed, or somebody else "
                 "signed; sign the file again"]
            )  # fmt: skip
        return found.version

    def _key(self, pem: bytes) -> Ed25519PublicKey:
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError as error:
            raise ConfigError([f"{self._path}: is no public key in PEM ({error})"]) from None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError([f"{self._path}: holds a key that is not Ed25519"])
        return key


class Highest:
    """The highest version that ran on this computer, in a file of its state that outlives the journal."""

    def __init__(self, store: Path) -> None:
        """`store`: where the configuration keeps its journal. The state directory of systemd goes before it, because
        an old configuration may name another store."""
        self._path = Path(os.environ.get("STATE_DIRECTORY", "").split(":")[0] or store) / "config.version"

    def check(self, config: Path, version: int) -> None:
        """ConfigError where a newer version ran before."""
        try:
            known = int(_read(self._path))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise ConfigError(
                [f"{self._path}: holds no version of a configuration ({error}); remove it if you may"]
            ) from None
        if version < known:
            raise ConfigError(
                [f"{config}: is signed as version {version}, but version {known} ran here already; an older one is not "
                 f"taken: sign it as a newer one, with `--version {known + 1}`"]
            )  # fmt: skip

    def keep(self, version: int) -> None:
        """This version runs now; durable on return."""
        new = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(new, "wb") as file:
                file.write(b"%d\n" % version)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise ConfigError([f"{self._path}: cannot be written ({error.strerror}); check [store] path"]) from None


def _signed_text(data: bytes, version: int, time: str) -> bytes:
    return f"borderflow configuration 1\n{version}\n{time}\n".encode() + data


def _fits(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _read(path: Path, most: int = _MOST_BYTES) -> bytes:
    with path.open("rb") as file:
        return file.read(most)
