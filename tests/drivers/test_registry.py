"""registry: our drivers, a third-party package, what is said about options and about mistakes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import registry
from drivers.base import Driver

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_our_drivers_are_found() -> None:
    names = registry.names()
    assert {"labjack_t7", "moxa_e1200", "transcore_encompass", "lpr_frame"} <= set(names)
    assert names == sorted(names)


@pytest.mark.parametrize("name", registry.names())
def test_every_driver_explains_itself(name: str) -> None:
    driver = registry.find(name)
    assert issubclass(driver, Driver)
    assert 20 < len(driver.summary) <= 120
    assert driver.schemes
    assert len(registry.manual(name)) > 200
    for option in registry.describe(name):
        assert option.text, f"{name}: option {option.name} has no description"
        assert option.type


def test_options_have_type_default_unit_and_text() -> None:
    options = {option.name: option for option in registry.describe("labjack_t7")}
    assert options["scan_rate_hz"] == registry.Option(
        "scan_rate_hz", "number > 0 <= 100000", "", "Hz", "scans a second, each of all channels"
    )
    assert options["stream_port"].default == "702"
    assert options["range_v"].unit == "V"
    assert options["scan_list"].type == "list of text"
    assert registry.describe("transcore_encompass")[0].type == "data or ecp"


def test_an_unknown_driver() -> None:
    with pytest.raises(LookupError, match="did you mean labjack_t7"):
        registry.find("labjack-t7")
    with pytest.raises(LookupError, match=r"there are .*labjack_t7"):
        registry.find("xyz")


def test_create_checks_the_url() -> None:
    with pytest.raises(ValueError, match="this device takes tcp://"):
        registry.create("labjack_t7", "daq", "/dev/ttyS0", {"scan_list": ["AIN0"], "scan_rate_hz": 1000.0})


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the worked example, a broken one and an impostor, installed beside borderflow."""
    place = tmp_path_factory.mktemp("site")
    build = tmp_path_factory.mktemp("build") / "acme"
    subprocess.run(["cp", "-r", str(HERE / "acme_road"), str(build)], check=True)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*command, str(place), str(build)], check=True, timeout=120)
    for package, line in (("broken", "broken = broken_package:Nothing"), ("impostor", "labjack_t7 = json:JSONDecoder")):
        info = place / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[borderflow.drivers]\n{line}\n")
    return place


def run(place: Path, code: str) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", f"import json\nfrom drivers import registry\n{code}"],
        env=environment, cwd=place, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def test_a_third_party_package_adds_a_driver(third_party: Path) -> None:
    seen = run(
        third_party,
        """made = registry.create("acme_rt1", "road", "/dev/ttyS0", {"offset_c": 0.5})
print(json.dumps({
    "class": type(made).__name__, "offset": made.options.offset_c,
    "options": [option.name for option in registry.describe("acme_rt1")],
    "packages": {entry.name: entry.package for entry in registry.catalogue()},
}))""",
    )
    assert seen["class"] == "AcmeRt1"
    assert seen["offset"] == 0.5
    assert seen["options"] == ["offset_c", "ice_code"]
    packages = seen["packages"]
    assert isinstance(packages, dict)
    assert packages["acme_rt1"] == "acme-road"
    assert packages["moxa_e1200"] == "borderflow"


def test_a_broken_package_and_an_impostor_hinder_nobody(third_party: Path) -> None:
    seen = run(
        third_party,
        """print(json.dumps({
    "errors": {entry.name: entry.error for entry in registry.catalogue() if entry.error},
    "labjack": registry.find("labjack_t7").__name__,
}))""",
    )
    errors = seen["errors"]
    assert isinstance(errors, dict)
    assert list(errors) == ["broken"]
    assert "broken_package" in errors["broken"]
    assert seen["labjack"] == "LabJackT7"


def test_the_worked_example_is_the_one_that_is_tested() -> None:
    text = (ROOT / "docs" / "write-a-driver.md").read_text()
    shown = dict(re.findall(r"`(\S+)`:\n\n```\w+\n(.*?)```", text, re.DOTALL))
    assert set(shown) == {"pyproject.toml", "acme_road/acme_rt1.py", "test_acme_rt1.py"}
    for name, code in shown.items():
        file = HERE / name if name.startswith("test_") else HERE / "acme_road" / name
        assert code == file.read_text(), f"docs/write-a-driver.md shows another {name} than is tested"
