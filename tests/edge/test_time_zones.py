"""Which release of the time zones counts."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import pytest
import tzdata

from edge.machine.time_zones import local_time, take_newest


@pytest.fixture(autouse=True)
def _path_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PYTHONTZPATH", raising=False)
    before = zoneinfo.TZPATH
    yield
    zoneinfo.reset_tzpath(before)
    zoneinfo.ZoneInfo.clear_cache()


def _system(folder: Path, first_line: str) -> Path:
    """A system whose Vancouver is on Greenwich time, so that it shows who was asked."""
    place = folder / "America" / "Vancouver"
    place.parent.mkdir()
    with (Path(tzdata.__file__).parent / "zoneinfo" / "UTC").open("rb") as utc:
        place.write_bytes(utc.read())
    zoneinfo.reset_tzpath([folder])
    zoneinfo.ZoneInfo.clear_cache()
    release = folder / "tzdata.zi"
    release.write_text(first_line)
    return release


def _vancouver() -> str | None:
    from datetime import datetime

    return datetime(2025, 1, 1, tzinfo=zoneinfo.ZoneInfo("America/Vancouver")).tzname()


def test_a_newer_package_is_taken_before_an_old_system(tmp_path: Path) -> None:
    system = _system(tmp_path, "# version 2022e\n")
    assert _vancouver() == "UTC"
    assert take_newest(system) == tzdata.IANA_VERSION
    assert _vancouver() == "PST"


@pytest.mark.parametrize("release", [tzdata.IANA_VERSION, "2099a", "2099a-dirty"])
def test_a_system_as_new_as_the_package_is_taken(tmp_path: Path, release: str) -> None:
    assert take_newest(_system(tmp_path, f"# version {release}\n# ddeps backzone\n")) == release
    assert _vancouver() == "UTC"


@pytest.mark.parametrize("first_line", ["", "\n", "# version\n", "Z Africa/Abidjan 0 - LMT\n"])
def test_a_system_that_tells_no_release_is_left_alone(tmp_path: Path, first_line: str) -> None:
    assert take_newest(_system(tmp_path, first_line)) is None
    assert _vancouver() == "UTC"


def test_a_system_without_the_list_is_left_alone(tmp_path: Path) -> None:
    _system(tmp_path, "# version 2022e\n")
    assert take_newest(tmp_path / "not-there") is None
    assert _vancouver() == "UTC"


def test_a_path_that_somebody_chose_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = _system(tmp_path, "# version 2022e\n")
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    assert take_newest(system) is None
    assert _vancouver() == "UTC"


def test_local_time_says_its_offset_and_the_rules_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_newest(_system(tmp_path, "# version 2020a\n"))
    assert re.fullmatch(rf"\d\d:\d\d, UTC\+0545 \(rules of {tzdata.IANA_VERSION}\)", local_time("Asia/Kathmandu"))
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    take_newest()
    assert re.fullmatch(r"\d\d:\d\d, UTC\+0545", local_time("Asia/Kathmandu"))
