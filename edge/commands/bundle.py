"""`borderflow bundle OUT`: one file for a supporter: state, log, checked configuration without secrets, versions.

No plate, no tag, no pseudonym and no key is in it: logs and state hold none, files of keys are not opened, and secrets
that somebody wrote into the configuration are taken out of everything.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from edge.exit_codes import EXIT_CANNOT_WRITE
from edge.eyes.client import NoDaemon, PlaceError, find
from edge.eyes.redact import redacted, scrubbed

_USUAL = Path("/etc/borderflow/borderflow.toml")
_LOG_MOST = 4_000_000  # bytes, of the end
_LOG_WITHIN_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="a file that is made, such as lane-3.tar.gz")
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"default: {_USUAL}, where it exists")
    parser.add_argument("--log", type=Path, metavar="FILE", help="the daemon's log; default: that of systemd")


def run(args: argparse.Namespace) -> int:
    """0, also where a part could not be had, which the bundle says; 73 where OUT cannot be written."""
    config = args.config or (_USUAL if _USUAL.exists() else None)
    parts = _parts(config, args.log)
    data = _packed(parts)
    try:
        file = os.open(args.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        remedy = "name a file that does not exist" if isinstance(error, FileExistsError) else "name another place"
        print(f"borderflow bundle: {args.out}: {error.strerror}; {remedy}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    with os.fdopen(file, "wb") as out:
        out.write(data)
    print(f"{args.out}: {len(data) / 1000:.0f} kB: {', '.join(parts)}; read it before you send it", file=sys.stderr)
    return 0


def _parts(config: Path | None, log: Path | None) -> dict[str, str]:
    """The files of the bundle, by name; a part that could not be had is a file that says why."""
    secrets: set[str] = set()
    parts: dict[str, str] = {}
    if config is None:
        parts["configuration.toml"] = "# none was named, and the usual one does not exist\n"
    else:
        try:
            parts["configuration.toml"], secrets = redacted(config.read_text(encoding="utf-8"))
        except OSError as error:
            parts["configuration.toml"] = f"# {config}: cannot be read ({error.strerror})\n"
        except ValueError:  # no TOML: what stands in it cannot be told from its secrets
            parts["configuration.toml"] = f"# {config}: is not TOML and was left out; check.txt says more\n"
        parts["check.txt"] = _checked(config)
    parts["state.json"] = _state(config)
    parts["log.txt"] = _log(log)
    parts["versions.json"] = json.dumps(_versions(), indent=2) + "\n"
    return {name: scrubbed(text, secrets) for name, text in parts.items()}


def _checked(config: Path) -> str:
    """What `borderflow check` says of it."""
    command = [sys.executable, "-m", "edge", "check", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    return f"exit {done.returncode}\n{done.stdout}{done.stderr}"


def _state(config: Path | None) -> str:
    try:
        return json.dumps(find(config)[1], indent=2, ensure_ascii=False) + "\n"
    except (NoDaemon, PlaceError) as error:
        return json.dumps({"error": str(error)}) + "\n"


def _log(file: Path | None) -> str:
    """The end of the log."""
    if file is not None:
        try:
            with file.open("rb") as stream:
                stream.seek(max(0, file.stat().st_size - _LOG_MOST))
                return stream.read(_LOG_MOST).decode(errors="replace")
        except OSError as error:
            return f"{file}: cannot be read ({error.strerror})\n"
    command = ["journalctl", "--unit", "borderflow", "--since", "-3d", "--no-pager", "--output", "short-iso-precise"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LOG_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"journalctl: {error}; name the log with --log\n"
    return (done.stdout[-_LOG_MOST:] or done.stderr[-2000:]).decode(errors="replace")


def _versions() -> dict[str, Any]:
    """Of this program, of what it needs, and of the computer."""
    wanted = metadata.requires("borderflow") or []
    names = sorted({part for line in wanted if (part := _name(line))})
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return {
        "borderflow": metadata.version("borderflow"), "python": platform.python_version(), "packages": found,
        "kernel": platform.release(), "machine": platform.machine(), "os": release.get("PRETTY_NAME"),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip


def _name(requirement: str) -> str:
    for n, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:n]
    return requirement


def _packed(parts: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in parts.items():
            data = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"borderflow-bundle/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
