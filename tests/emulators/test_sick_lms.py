"""sick_lms emulator against the telegram listing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.emulators.base import Output, Send
from firmware_sim.emulators.sick_lms import SickLms
from firmware_sim.world.events import InputChanged


def words(output: Output) -> list[list[str]]:
    telegrams = b"".join(item.data for item in output if isinstance(item, Send)).split(b"\x03")
    return [telegram.lstrip(b"\x02").decode().split() for telegram in telegrams if telegram]


def test_commands_and_scans() -> None:
    scanner = SickLms(height_m=6.0, heights_m=(4.0,), starts_s=1.0)
    scanner.connected("main", 1, 0.0)
    assert words(scanner.received("main", 1, b"\x02sRN SCdevice", 0.5)) == []
    assert words(scanner.received("main", 1, b"state\x03\x02sRN what\x03", 0.5)) == [
        ["sRA", "SCdevicestate", "0"],
        ["sFA", "3"],
    ]
    assert words(scanner.tick(1.0)) == []
    assert words(scanner.received("main", 1, b"\x02sEN LMDscandata 1\x03", 1.0)) == [["sEA", "LMDscandata", "1"]]
    scanner.happened(InputChanged(1.0, "lms", "presence", True), 1.0)
    (empty_or_full,) = words(scanner.tick(1.04))
    assert empty_or_full[:3] == ["sSN", "LMDscandata", "1"]
    name, scale, offset, start, step, count = empty_or_full[20:26]
    assert (name, scale, offset, start, step) == ("DIST1", "3F800000", "00000000", "FFFF3CB0", "1388")
    distances = [int(word, 16) for word in empty_or_full[26 : 26 + int(count, 16)]]
    assert distances[190] == 2000  # straight down, onto the roof of 4 m
    scanner.happened(InputChanged(1.1, "lms", "presence", False), 1.1)
    distances = [int(word, 16) for word in words(scanner.tick(1.12))[-1][26:]]
    assert distances[190] == 6000
    scanner.received("main", 1, b"\x02sEN LMDscandata 0\x03", 1.2)
    assert words(scanner.tick(2.0)) == []


@given(st.binary(max_size=300))
def test_any_bytes_are_answered_or_ignored(noise: bytes) -> None:
    scanner = SickLms()
    scanner.connected("main", 1, 0.0)
    scanner.received("main", 1, noise, 0.0)
