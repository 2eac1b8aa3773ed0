"""`make test-deb`: lintian finds no error, and the package installs without a network in fresh Debian 12 and 13."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from container import root_of
from lane_package import newest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif("BORDERFLOW_DEB" not in os.environ, reason="run by make test-deb"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="session")
def package() -> Path:
    return newest()


def test_lintian_finds_no_error(package: Path) -> None:
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", package], capture_output=True, text=True)
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if line.startswith("E:"))


@pytest.mark.parametrize(("suite", "python"), [("bookworm", "3.11"), ("trixie", "3.13")])
def test_it_installs_without_a_network_and_runs(package: Path, suite: str, python: str, tmp_path: Path) -> None:
    root = tmp_path / suite
    subprocess.run(["cp", "-a", "--reflink=auto", root_of(suite, ROOT / "build" / "roots"), root], check=True)
    shutil.copy(package, root / "root/borderflow.deb")
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
    run("borderflow-sim", "record", "--scenario", "quiet-lane", "--out", "/tmp/rec", "--for", "60")
    recording = sorted((root / "tmp/rec").glob("*.sigmf-meta"))[0].name
    run("borderflow", "replay", "--config", "/tmp/rec/borderflow.toml", f"/tmp/rec/{recording}")
    assert "borderflow" in (root / "etc/passwd").read_text()
    run("dpkg", "--purge", "borderflow")
    assert not (root / "usr/lib/borderflow").exists()
    shutil.rmtree(root)
