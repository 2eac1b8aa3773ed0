"""`make test-systemd`: the package in a booted Debian 12 and 13: start, kill, hang, reload, keys, full disk, upgrades
and the way back, the lane's page, and the centre's collector and board.

Needs root, debootstrap and systemd-nspawn, and takes about ten minutes for each release: not part of `make test`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from container import Container, root_of
from lane_package import newest, repacked

pytestmark = [
    pytest.mark.skipif("BORDERFLOW_SYSTEMD" not in os.environ, reason="run by make test-systemd"),
    pytest.mark.timeout(900),
]
SUITES = os.environ.get("BORDERFLOW_SUITES", "bookworm trixie").split()
UNITS = ("borderflow", "borderflow-page", "borderflow-collect", "borderflow-board")
EXPOSURE_MOST = 1.5

LATER = {"9.0.0": "", "9.1.0": "ends at once", "9.2.0": "loses a device", "9.3.0": "ends after 20 s"}

JOURNAL = """
import json, sqlite3
db = sqlite3.connect("file:/var/lib/borderflow/journal.db?mode=ro", uri=True)
epoch = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
print(json.dumps([str(epoch), db.execute("SELECT max(n) FROM log").fetchone()[0]]))
"""
COLLECTED = """
import sqlite3
db = sqlite3.connect("/var/lib/borderflow-collect/centre.db")
print(db.execute("SELECT count(*) FROM flow").fetchone()[0])
"""
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"
PAGE = "http://127.0.0.1:8088/"
CENTRE = """into = "/var/lib/borderflow-collect/centre.db"
[[broker]]
url = "mqtt://127.0.0.1:1883"
"""
COLLECTOR = """
[[collector]]
name = "centre"
url = "mqtt://127.0.0.1:1883"
"""


@pytest.fixture(scope="module", params=SUITES)
def debian(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Booted, with the package, a broker, simulated hardware and a configuration of it."""
    work = tmp_path_factory.mktemp("nspawn")
    container = Container(root_of(request.param), work)
    package = newest()
    shutil.copy(package, container.root / "root/borderflow.deb")
    for version, fault in LATER.items():
        shutil.move(repacked(package, version, work, fault), container.root / "root")
    with container:
        container.run("dpkg", "-i", "/root/borderflow.deb", check=True)
        sim = ("systemd-run", "--unit=sim", "--collect", "borderflow-sim", "serve", "--scenario", "quiet-lane")
        bound = [f"{name}=tcp://127.0.0.1:{port}" for name, port in (("lpr-approach", 5001), ("lpr-booth", 5002))]
        container.run(*sim, "--bind", *bound, "--config-out", "/root/lane.toml", check=True)
        config = container.root / "root/lane.toml"
        container.wait("the simulator", config.exists, 60)
        (container.root / "etc/borderflow/borderflow.toml").write_text(in_its_place(config.read_text()) + COLLECTOR)
        container.run("borderflow", "key", "/etc/borderflow/identity.key", check=True)
        yield container
    shutil.rmtree(work, ignore_errors=True)


def in_its_place(text: str) -> str:
    """The simulator's configuration as one of an installed computer."""
    table = tomllib.loads(text)
    text = text.replace(table["identity"]["key_file"], "/etc/borderflow/identity.key")
    return text.replace(table["store"]["path"], "/var/lib/borderflow")


def python(debian: Container, program: str, *words: str) -> str:
    return debian.run("/usr/bin/python3", "-c", program, *words, check=True).stdout


def journal(debian: Container) -> tuple[str, int]:
    """Epoch and number of the last message."""
    epoch, last = json.loads(python(debian, JOURNAL))
    return epoch, last


def state(debian: Container) -> dict[str, Any]:
    done = debian.run("borderflow", "status", "--json")
    found: dict[str, Any] = json.loads(done.stdout or "{}")
    return found


def alarms(debian: Container) -> dict[str, str]:
    """Text by code."""
    return {alarm["code"]: alarm["text"] for alarm in state(debian).get("alarms", ())}


def well(debian: Container) -> bool:
    """Each device is online and the collector connected: what an upgrade may not make worse."""
    now = state(debian)
    devices, collectors = now.get("devices", {}), now.get("collectors", {})
    online = [device["state"] == "online" for device in devices.values()]
    return any(online) and all(online) and all(one["state"] == "connected" for one in collectors.values())


def anew(debian: Container, before: str, unit: str, within_s: float) -> float:
    """Seconds until another process of the unit is ready."""

    def ready() -> bool:
        return debian.show("MainPID", unit) not in (before, "0") and debian.show("ActiveState", unit) == "active"

    return debian.wait("a new process", ready, within_s)


def test_it_starts_and_its_devices_are_online(debian: Container) -> None:
    done = debian.run("systemctl", "enable", "--now", "borderflow")
    assert done.returncode == 0, debian.run("journalctl", "-u", "borderflow", "--no-pager").stdout
    assert (debian.show("ActiveState"), debian.show("SubState")) == ("active", "running")
    debian.wait("devices and collector", lambda: well(debian), 90)


@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_is_sound_and_tight(debian: Container, unit: str) -> None:
    verify = debian.run("systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{unit}.service")
    assert (verify.returncode, verify.stderr) == (0, "")
    threshold = f"--threshold={EXPOSURE_MOST * 10:.0f}"
    done = debian.run("systemd-analyze", "security", threshold, "--no-pager", unit)
    print(unit, done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0


def test_the_page_shows_the_lane_and_gives_metrics(debian: Container) -> None:
    debian.run("systemctl", "enable", "--now", "borderflow-page", check=True)
    debian.wait("the page", lambda: not debian.run("/usr/bin/python3", "-c", FETCH, PAGE).returncode, 60)
    assert "T1" in python(debian, FETCH, PAGE)
    metrics = python(debian, FETCH, f"{PAGE}metrics")
    assert 'borderflow_device_online{device="daq"' in metrics, metrics[:2000]
    before = debian.show("MainPID", "borderflow-page")
    debian.run("systemctl", "kill", "-s", "KILL", "borderflow-page", check=True)
    anew(debian, before, "borderflow-page", 60)


def test_the_centre_collects_and_shows_what_the_lane_publishes(debian: Container) -> None:
    config = debian.root / "etc/borderflow/centre/collect.toml"
    unconfigured = debian.run("systemctl", "start", "borderflow-collect")
    assert unconfigured.returncode != 0, "a file without a broker is refused"
    assert debian.show("ExecMainStatus", "borderflow-collect") == "78"
    config.write_text(CENTRE)
    impatient = debian.root / "etc/systemd/system/borderflow-collect.service.d/watchdog.conf"
    impatient.parent.mkdir()
    impatient.write_text("[Service]\nWatchdogSec=30s\n")  # the shipped one waits for two minutes
    debian.run("systemctl", "daemon-reload", check=True)
    debian.run("systemctl", "enable", "--now", "borderflow-collect", "borderflow-board", check=True)
    debian.wait("a message", lambda: int(python(debian, COLLECTED)) > 0, 120)
    crossing = "http://127.0.0.1:8080/api/v1/crossings/US/3604"
    debian.wait("the board", lambda: not debian.run("/usr/bin/python3", "-c", FETCH, crossing).returncode, 60)
    assert json.loads(python(debian, FETCH, crossing))


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_the_collector_comes_back(debian: Container, signal: str) -> None:
    before, rows = debian.show("MainPID", "borderflow-collect"), int(python(debian, COLLECTED))
    debian.run("systemctl", "kill", "-s", signal, "borderflow-collect", check=True)
    took_s = anew(debian, before, "borderflow-collect", 200)
    print(f"the collector after SIG{signal} ready in {took_s:.1f} s")
    debian.wait("new messages", lambda: int(python(debian, COLLECTED)) > rows, 120)


def test_it_comes_back_after_a_kill(debian: Container) -> None:
    epoch, _ = journal(debian)
    before = debian.show("MainPID")
    debian.run("systemctl", "kill", "-s", "KILL", "borderflow")
    print(f"after SIGKILL ready in {anew(debian, before, 'borderflow', 60):.1f} s")
    assert journal(debian)[0] == epoch


def test_it_stops_in_order(debian: Container) -> None:
    assert debian.run("systemctl", "stop", "borderflow").returncode == 0
    assert debian.show("Result") == "success"
    debian.run("systemctl", "start", "borderflow", check=True)


def test_the_watchdog_ends_one_that_hangs(debian: Container) -> None:
    before = debian.show("MainPID")
    debian.run("systemctl", "kill", "-s", "STOP", "borderflow")
    print(f"after SIGSTOP ready in {anew(debian, before, 'borderflow', 150):.1f} s")


def test_reload_takes_a_good_file_and_refuses_a_wrong_one(debian: Container) -> None:
    config = debian.root / "etc/borderflow/borderflow.toml"
    good, process = config.read_text(), debian.show("MainPID")
    config.write_text(good.replace("[site]", "[sight]"))
    assert debian.run("systemctl", "reload", "borderflow").returncode != 0
    assert (debian.show("MainPID"), debian.show("ActiveState")) == (process, "active")
    config.write_text(good + '\n[[collector]]\nname = "late"\nurl = "mqtt://127.0.0.1:1"\n')
    debian.run("systemctl", "reload", "borderflow", check=True)
    assert "late" in state(debian)["collectors"]
    config.write_text(good)
    debian.run("systemctl", "reload", "borderflow", check=True)
    assert (debian.show("MainPID"), debian.show("ActiveState")) == (process, "active")


def test_keys_are_handed_over_and_rotated_with_a_restart(debian: Container) -> None:
    key = debian.root / "etc/borderflow/identity.key"
    assert key.stat().st_mode & 0o077 == 0
    epoch, _ = journal(debian)
    key.unlink()
    debian.run("borderflow", "key", "/etc/borderflow/identity.key", check=True)
    debian.run("systemctl", "restart", "borderflow", check=True)
    seen = debian.run("cat", "/run/credentials/borderflow.service/etc_identity.key")
    assert seen.stdout == key.read_text(), seen.stderr
    assert journal(debian)[0] == epoch


def test_an_upgrade_and_the_way_back_keep_the_journal(debian: Container) -> None:
    debian.wait("devices and collector", lambda: well(debian), 90)
    epoch, last = journal(debian)
    for package, version in (("borderflow_9.0.0_amd64.deb", "9.0.0"), ("borderflow.deb", "")):
        done = debian.run("dpkg", "-i", f"/root/{package}")
        assert done.returncode == 0, done.stderr
        assert "at least as well" in done.stderr, done.stderr
        running = state(debian)["versions"]["borderflow"]
        assert not version or running == version
        now = journal(debian)
        assert now[0] == epoch
        assert now[1] > last
        last = now[1]


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("9.1.0", "does not become ready"),
        ("9.2.0", "device daq is not online"),
        ("9.3.0", "it ended, or was restarted"),
    ],
)
def test_an_upgrade_that_is_worse_is_undone_and_an_alarm_says_why(debian: Container, version: str, why: str) -> None:
    debian.wait("devices and collector", lambda: well(debian), 90)
    epoch, last = journal(debian)
    before = state(debian)["versions"]["borderflow"]
    began = time.monotonic()
    done = debian.run("dpkg", "-i", f"/root/borderflow_{version}_amd64.deb")
    assert "was undone" in done.stderr, done.stderr
    print(f"{version} was undone after {time.monotonic() - began:.0f} s: {done.stderr.splitlines()[-1]}")
    assert debian.show("ActiveState") == "active"
    assert state(debian)["versions"]["borderflow"] == before
    debian.wait("the alarm", lambda: why in alarms(debian).get("upgrade_undone", ""), 20)
    debian.wait("devices and collector", lambda: well(debian), 90)
    assert journal(debian)[0] == epoch
    assert journal(debian)[1] > last


def test_the_next_good_version_ends_the_alarm(debian: Container) -> None:
    debian.run("dpkg", "-i", "/root/borderflow_9.0.0_amd64.deb", check=True)
    assert state(debian)["versions"]["borderflow"] == "9.0.0"
    assert "upgrade_undone" not in alarms(debian)
    assert not (debian.root / "etc/systemd/system/borderflow.service.d/90-previous.conf").exists()


def test_a_full_disk_is_told_and_passes(debian: Container) -> None:
    debian.run("systemctl", "stop", "borderflow", check=True)
    debian.run("mkdir", "-p", "/var/lib/private/borderflow", check=True)
    debian.run("mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", "/var/lib/private/borderflow", check=True)
    debian.run("systemctl", "start", "borderflow", check=True)
    debian.run("dd", "if=/dev/zero", "of=/var/lib/private/borderflow/fill", "bs=1M")
    took_s = debian.wait("the alarm", lambda: "journal_refused" in alarms(debian), 120)
    print(f"a full disk is told after {took_s:.1f} s")
    process = debian.show("MainPID")
    debian.run("rm", "/var/lib/private/borderflow/fill", check=True)
    debian.wait("the end of it", lambda: "journal_refused" not in alarms(debian), 120)
    assert debian.show("MainPID") == process


def test_purge_leaves_the_journal_and_the_database_unless_asked(debian: Container) -> None:
    debian.run("dpkg", "--purge", "borderflow", check=True)
    assert not (debian.root / "usr/lib/borderflow").exists()
    assert (debian.root / "etc/borderflow/identity.key").exists()
    for directory in ("borderflow", "borderflow-collect"):
        assert (debian.root / "var/lib/private" / directory).is_dir()
    for unit in UNITS:
        assert debian.show("ActiveState", unit) in ("inactive", "failed")
