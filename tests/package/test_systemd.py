"""`make test-systemd`: the package in a booted Debian 12: start, kill, hang, reload, keys, full disk, upgrade and back.

Needs root, debootstrap and systemd-nspawn, and takes about ten minutes: not part of `make test`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container import Container, root_of

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "roots"
pytestmark = [
    pytest.mark.skipif("BORDERFLOW_SYSTEMD" not in os.environ, reason="run by make test-systemd"),
    pytest.mark.timeout(900),
]

JOURNAL = """
import json, sqlite3
db = sqlite3.connect("file:/var/lib/borderflow/journal.db?mode=ro", uri=True)
epoch = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
print(json.dumps([str(epoch), db.execute("SELECT max(n), count(*) FROM log").fetchone()]))
"""


@pytest.fixture(scope="session")
def package() -> Path:
    return max((ROOT / "dist").glob("borderflow_*_amd64.deb"), key=lambda path: path.stat().st_mtime)


def repacked(package: Path, version: str, out: Path, *, broken: bool = False) -> Path:
    """The same package under another version; `broken`: its daemon ends at once."""
    tree = out / version
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    old = next(line.split()[1] for line in control.read_text().splitlines() if line.startswith("Version:"))
    control.write_text(control.read_text().replace(f"Version: {old}", f"Version: {version}"))
    for info in tree.rglob("borderflow-*.dist-info"):
        metadata = info / "METADATA"
        metadata.write_text(metadata.read_text().replace(f"\nVersion: {old}\n", f"\nVersion: {version}\n"))
        info.rename(info.with_name(f"borderflow-{version}.dist-info"))
    if broken:
        for daemon in tree.rglob("edge/daemon.py"):
            daemon.write_text("raise RuntimeError('broken')\n")
    made = out / f"borderflow_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, made], check=True, stdout=subprocess.DEVNULL
    )
    return made


@pytest.fixture(scope="module")
def debian(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    work = tmp_path_factory.mktemp("nspawn")
    container = Container(root_of("bookworm", CACHE), work)
    shutil.copy(package, container.root / "root/borderflow.deb")
    for version, broken in (("9.0.0", False), ("9.1.0", True)):
        shutil.move(repacked(package, version, work, broken=broken), container.root / "root")
    with container:
        container.run("dpkg", "-i", "/root/borderflow.deb", check=True)
        sim = ("systemd-run", "--unit=sim", "--collect", "borderflow-sim", "serve", "--scenario", "quiet-lane")
        bound = [f"{name}=tcp://127.0.0.1:{port}" for name, port in (("lpr-approach", 5001), ("lpr-booth", 5002))]
        container.run(*sim, "--bind", *bound, "--config-out", "/root/lane.toml", check=True)
        config = container.root / "root/lane.toml"
        container.wait("the simulator", config.exists, 60)
        text = config.read_text()
        assert "store" in text
        (container.root / "etc/borderflow/borderflow.toml").write_text(in_its_place(text))
        container.run("borderflow", "key", "/etc/borderflow/identity.key", check=True)
        yield container
    shutil.rmtree(work, ignore_errors=True)


def in_its_place(text: str) -> str:
    """The simulator's configuration as one of an installed computer."""
    import tomllib

    table = tomllib.loads(text)
    for name in (table.get("identity", {}).get("key_file"),):
        if name:
            text = text.replace(name, "/etc/borderflow/identity.key")
    return text.replace(table["store"]["path"], "/var/lib/borderflow")


def journal(debian: Container) -> tuple[str, int]:
    """Epoch and number of the last message."""
    done = debian.run("/usr/lib/borderflow/bin/python3", "-c", JOURNAL, check=True)
    epoch, (last, _) = json.loads(done.stdout)
    return epoch, last


def alarms(debian: Container) -> set[str]:
    done = debian.run("borderflow", "status", "--json")
    return {alarm["code"] for alarm in json.loads(done.stdout)["alarms"]} if done.stdout else set()


def state(debian: Container) -> dict[str, object]:
    done = debian.run("borderflow", "status", "--json")
    found: dict[str, object] = json.loads(done.stdout or "{}")
    return found


def test_it_starts_and_is_tight(debian: Container) -> None:
    done = debian.run("systemctl", "enable", "--now", "borderflow")
    assert done.returncode == 0, debian.run("journalctl", "-u", "borderflow", "--no-pager").stdout
    assert (debian.show("ActiveState"), debian.show("SubState")) == ("active", "running")
    verify = debian.run("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/borderflow.service")
    assert (verify.returncode, verify.stderr) == (0, "")
    assert debian.run("systemd-analyze", "security", "--threshold=15", "--no-pager", "borderflow").returncode == 0
    debian.wait("devices", lambda: any(d["state"] == "online" for d in state(debian).get("devices", {}).values()), 60)  # type: ignore[attr-defined]


def test_it_comes_back_after_a_kill(debian: Container) -> None:
    epoch, _ = journal(debian)
    before = debian.show("MainPID")
    debian.run("systemctl", "kill", "-s", "KILL", "borderflow")
    took_s = debian.wait(
        "a new process",
        lambda: debian.show("MainPID") not in (before, "0") and debian.show("ActiveState") == "active",
        60,
    )
    print(f"after SIGKILL ready in {took_s:.1f} s")
    assert journal(debian)[0] == epoch


def test_it_stops_in_order(debian: Container) -> None:
    assert debian.run("systemctl", "stop", "borderflow").returncode == 0
    assert debian.show("Result") == "success"
    debian.run("systemctl", "start", "borderflow", check=True)


def test_the_watchdog_ends_one_that_hangs(debian: Container) -> None:
    before = debian.show("MainPID")
    debian.run("systemctl", "kill", "-s", "STOP", "borderflow")
    took_s = debian.wait(
        "a new process",
        lambda: debian.show("MainPID") not in (before, "0") and debian.show("ActiveState") == "active",
        150,
    )
    print(f"after SIGSTOP ready in {took_s:.1f} s")


def test_reload_takes_a_good_file_and_refuses_a_wrong_one(debian: Container) -> None:
    config = debian.root / "etc/borderflow/borderflow.toml"
    good, process = config.read_text(), debian.show("MainPID")
    config.write_text(good.replace("[site]", "[sight]"))
    assert debian.run("systemctl", "reload", "borderflow").returncode != 0
    assert (debian.show("MainPID"), debian.show("ActiveState")) == (process, "active")
    config.write_text(good + '\n[[collector]]\nname = "late"\nurl = "mqtt://127.0.0.1:1"\n')
    debian.run("systemctl", "reload", "borderflow", check=True)
    assert "late" in state(debian)["collectors"]  # type: ignore[operator]
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
    handed = debian.root / "run/credentials/borderflow.service/etc_identity.key"
    seen = debian.run("cat", f"/{handed.relative_to(debian.root)}")
    assert seen.stdout == key.read_text(), seen.stderr
    assert journal(debian)[0] == epoch


def test_an_upgrade_and_the_way_back_keep_the_journal(debian: Container) -> None:
    epoch, last = journal(debian)
    for package, version in (("borderflow_9.0.0_amd64.deb", "9.0.0"), ("borderflow.deb", "")):
        done = debian.run("dpkg", "-i", f"/root/{package}")
        assert done.returncode == 0, done.stderr
        assert "at least as well" in done.stderr, done.stderr
        running = state(debian)["versions"]["borderflow"]  # type: ignore[index]
        assert not version or running == version
        now = journal(debian)
        assert now[0] == epoch
        assert now[1] > last
        last = now[1]


def test_an_upgrade_that_does_not_run_is_undone(debian: Container) -> None:
    epoch, last = journal(debian)
    before = state(debian)["versions"]["borderflow"]  # type: ignore[index]
    done = debian.run("dpkg", "-i", "/root/borderflow_9.1.0_amd64.deb")
    assert "was undone" in done.stderr, done.stderr
    assert debian.show("ActiveState") == "active"
    assert state(debian)["versions"]["borderflow"] == before  # type: ignore[index]
    debian.wait("the alarm", lambda: "upgrade_undone" in alarms(debian), 20)
    assert journal(debian)[0] == epoch
    assert journal(debian)[1] > last
    debian.run("dpkg", "-i", "/root/borderflow_9.0.0_amd64.deb", check=True)
    assert state(debian)["versions"]["borderflow"] == "9.0.0"  # type: ignore[index]
    assert "upgrade_undone" not in alarms(debian)


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


def test_purge_leaves_the_journal_unless_asked(debian: Container) -> None:
    debian.run("dpkg", "--purge", "borderflow", check=True)
    assert not (debian.root / "usr/lib/borderflow").exists()
    assert (debian.root / "etc/borderflow/identity.key").exists()
    assert (debian.root / "var/lib/private/borderflow").is_dir()
