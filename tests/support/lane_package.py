"""The Debian package that was made last, and versions of it that were never made: later ones, and ones with a fault."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What is wrong with a version: a file of its environment, and what is appended to it.
FAULTS = {
    "ends at once": ("edge/daemon/daemon.py", "raise RuntimeError('a fault of this version')"),
    "ends after 20 s": ("edge/daemon/daemon.py", "import threading\nthreading.Timer(20, os._exit, (3,)).start()"),
    "loses a device": (
        "drivers/labjack_t7.py",
        "async def _deaf(*_):\n    raise DeviceError('this version cannot read it')\n\n\nLabJackT7.session = _deaf",
    ),
}


def newest(architecture: str = "amd64") -> Path:
    return max((ROOT / "dist").glob(f"borderflow_*_{architecture}.deb"), key=lambda path: path.stat().st_mtime)


def repacked(package: Path, version: str, out: Path, fault: str = "") -> Path:
    """The same package under another version, with one of `FAULTS`."""
    tree = out / version
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    old = next(line.split()[1] for line in control.read_text().splitlines() if line.startswith("Version:"))
    control.write_text(control.read_text().replace(f"Version: {old}", f"Version: {version}"))
    for info in tree.rglob("borderflow-*.dist-info"):
        metadata = info / "METADATA"
        metadata.write_text(metadata.read_text().replace(f"\nVersion: {old}\n", f"\nVersion: {version}\n"))
        info.rename(info.with_name(f"borderflow-{version}.dist-info"))
    if fault:
        file, text = FAULTS[fault]
        for spoilt in tree.rglob(file):
            spoilt.write_text(f"{spoilt.read_text()}\n\nimport os\n{text}\n")
    made = out / f"borderflow_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, made], check=True, stdout=subprocess.DEVNULL
    )
    shutil.rmtree(tree)
    return made
