#!/usr/bin/python3
"""The way back of an upgrade: keeps the version that runs, watches the new one, and goes back where things get worse.

    upgrade keep      before the new files come: the running version goes to /usr/lib/borderflow-previous, and how the
                      computer is to /run/borderflow-upgrade
    upgrade watch     after they came: starts the new version, waits for READY and looks on for 60 s
    upgrade retry     after one that was undone: tries the installed version again

Called by the package's scripts. Standard library alone, and run by the system's Python: it must work where the new
version does not. Worse is: the service does not become ready, ends or is restarted; an alarm holds that did not hold
before; a device that was online is not; a collector that was connected is not; the journal refuses. Then the version
before runs again from where it was kept, with an alarm (`upgrade_undone`) that says why, until a next upgrade.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HOME = Path("/usr/lib/borderflow")
PREVIOUS = Path("/usr/lib/borderflow-previous")
KEPT = Path("/run/borderflow-upgrade")
DROP_IN = Path("/etc/systemd/system/borderflow.service.d/90-previous.conf")
UNDONE = Path("/var/lib/borderflow/upgrade-undone.json")
SOCKET = "/run/borderflow/eyes.sock"
SERVICE = "borderflow.service"
WATCH_S = 60.0
LOOK_S = 2.0
STATE_MOST = 4_000_000
WORDS_MOST = 300  # characters
BACK = """# Made by an upgrade that was undone: {why}
# To try the installed version again: /usr/lib/borderflow/upgrade retry
[Service]
ExecStart=
ExecStart={python} -P -m edge run --config /etc/borderflow/borderflow.toml
ExecReload=
ExecReload={python} -P -m edge reload --config /etc/borderflow/borderflow.toml
"""

State = dict[str, Any]


def main() -> int:
    orders = {"keep": keep, "watch": watch, "retry": watch}
    if len(sys.argv) != 2 or sys.argv[1] not in orders:
        print(__doc__, file=sys.stderr)
        return 64
    return orders[sys.argv[1]]()


def keep() -> int:
    """Hard links cost no room, and what is replaced by the new files stays as it is under them."""
    KEPT.mkdir(mode=0o700, exist_ok=True)
    (KEPT / "before.json").write_text(json.dumps(settled()))
    if DROP_IN.exists():
        return 0  # what runs is the previous one already
    fresh = PREVIOUS.with_name(f"{PREVIOUS.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    subprocess.run(["cp", "-al", str(HOME), str(fresh)], check=True)
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    fresh.rename(PREVIOUS)
    return 0


def settled() -> State | None:
    """How the computer is; None where no daemon answers."""
    try:
        return state()
    except (OSError, ValueError):
        return None


def state() -> State:
    """Asked at the daemon's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(5.0)
        channel.connect(SOCKET)
        channel.sendall(b'{"ask": "state"}\n')
        with channel.makefile("rb") as stream:
            found: State = json.loads(stream.readline(STATE_MOST))
    return found


def watch() -> int:
    """Start the installed version and judge it; 0 where something runs in the end."""
    before = kept()
    DROP_IN.unlink(missing_ok=True)
    UNDONE.unlink(missing_ok=True)
    systemctl("daemon-reload")
    print(f"borderflow: starting the new version, and watching it for {WATCH_S:.0f} s", file=sys.stderr)
    trouble = started() or watched(before)
    if not trouble:
        print("borderflow: the new version is at least as well as the one before", file=sys.stderr)
        return 0
    if not (PREVIOUS / "bin" / "python3").exists():
        print(f"borderflow: the new version is worse, and no other is there: {trouble}", file=sys.stderr)
        return 0
    return go_back(trouble)


def kept() -> State | None:
    try:
        found: State | None = json.loads((KEPT / "before.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def started() -> str:
    """Restart it; why it is not ready, else nothing."""
    if systemctl("restart", SERVICE).returncode == 0:
        return ""
    return f"it does not become ready{last_words(shown('ExecMainPID'))}"


def last_words(process: str) -> str:
    """The last line of its log, as the end of a sentence; nothing where it left none."""
    command = ["journalctl", "-q", "-o", "cat", "-n", "1", f"_PID={process}"]
    lines = subprocess.run(command, capture_output=True, text=True, errors="replace").stdout.strip().splitlines()
    return f": {lines[-1][:WORDS_MOST]}" if lines else ""


def watched(before: State | None) -> str:
    """Look on; what is worse than before, else nothing."""
    process = shown("MainPID")
    end = time.monotonic() + WATCH_S
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        if shown("ActiveState") != "active" or shown("MainPID") != process:
            return f"it ended, or was restarted{last_words(process)}"
    now = settled()
    if now is None:
        return "its socket does not answer"
    return "; ".join(worse(before, now)) if before is not None else ""


def worse(before: State, now: State) -> list[str]:
    """What was better before, in words without names of anybody."""
    held = {alarm_key(alarm) for alarm in before.get("alarms", ())}
    found = [
        f"alarm {alarm['code']} ({alarm.get('device') or alarm.get('lane')})"
        for alarm in now.get("alarms", ())
        if alarm["severity"] != "info" and alarm_key(alarm) not in held
    ]
    for name, device in before.get("devices", {}).items():
        if device["state"] == "online" and now.get("devices", {}).get(name, {}).get("state") != "online":
            found.append(f"device {name} is not online")
    for name, collector in before.get("collectors", {}).items():
        if (
            collector.get("state") == "connected"
            and now.get("collectors", {}).get(name, {}).get("state") != "connected"
        ):
            found.append(f"collector {name} is not connected")
    if now.get("journal", {}).get("refusal") and not before.get("journal", {}).get("refusal"):
        found.append("the journal refuses")
    return found


def alarm_key(alarm: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(alarm.get(key) for key in ("code", "device", "lane", "sensor"))


def go_back(why: str) -> int:
    python = PREVIOUS / "bin" / "python3"
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(BACK.format(why=why.replace("\n", " "), python=python))
    UNDONE.write_text(json.dumps({"reason": why}))
    UNDONE.chmod(0o644)
    systemctl("daemon-reload")
    systemctl("reset-failed", SERVICE)
    done = systemctl("restart", SERVICE)
    print(f"borderflow: the upgrade was undone: {why}; the version before runs again", file=sys.stderr)
    return 0 if done.returncode == 0 else 1


def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True)


def shown(name: str) -> str:
    return systemctl("show", "--value", "-p", name, SERVICE).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
