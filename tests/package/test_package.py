"""`make test-deb`: lintian finds no error, and the package installs without a network in fresh Debian 12 and 13.

That for ARM too, where `make deb-arm64` was called: in roots whose programs run emulated (package-tools registers
qemu-aarch64 with the kernel). A recording is weighed there to the same bytes as here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from container import root_of
from lane_package import newest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif("BORDERFLOW_DEB" not in os.environ, reason="run by make test-deb"),
    pytest.mark.timeout(1800),
]


ARCHITECTURES = [name for name in ("amd64", "arm64") if any(ROOT.glob(f"dist/borderflow_*_{name}.deb"))]


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of a lane, with its configuration."""
    out = tmp_path_factory.mktemp("recording")
    record = ("-m", "firmware_sim.cli", "record", "--scenario", "quiet-lane", "--out", out, "--for", "60")
    subprocess.run([sys.executable, *record], check=True, capture_output=True)
    return out


def replayed(recording: Path) -> str:
    config, name = recording / "borderflow.toml", next(recording.glob("*.sigmf-meta"))
    replay = [sys.executable, "-m", "edge", "replay", "--config", config, name]
    return subprocess.run(replay, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lintian_finds_no_error(architecture: str) -> None:
    package = newest(architecture)
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", package], capture_output=True, text=True)
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if line.startswith("E:"))


@pytest.mark.parametrize(("suite", "python"), [("bookworm", "3.11"), ("trixie", "3.13")])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_installs_without_a_network_and_weighs_the_same(
    architecture: str, suite: str, python: str, recording: Path, tmp_path: Path
) -> None:
    root = tmp_path / suite
    fresh = root_of(suite, architecture)
    subprocess.run(["cp", "-a", "--reflink=auto", fresh, root], check=True)
    shutil.copy(newest(architecture), root / "root/borderflow.deb")
    shutil.copytree(recording, root / "root/recording")
    inside = (
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "chroot",
        root,
        "/usr/bin/env",
        "-i",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    )

    def run(*words: str) -> str:
        done = subprocess.run([*inside, *words], capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stdout[-1000:], done.stderr[-3000:])
        return done.stdout

    run("dpkg", "-i", "/root/borderflow.deb")
    assert run("python3", "--version").startswith(f"Python {python}.")
    run("borderflow", "--version")
    assert "labjack_t7" in run("borderflow", "drivers")
    run("borderflow-sim", "record", "--scenario", "quiet-lane", "--out", "/tmp/rec", "--for", "5")
    meta = next(recording.glob("*.sigmf-meta")).name
    here = replayed(recording)
    assert here.count("\n") >= 1
    assert run("borderflow", "replay", "--config", "/root/recording/borderflow.toml", f"/root/recording/{meta}") == here
    assert "borderflow" in (root / "etc/passwd").read_text()
    run("dpkg", "--purge", "borderflow")
    assert not (root / "usr/lib/borderflow").exists()
    shutil.rmtree(root)
