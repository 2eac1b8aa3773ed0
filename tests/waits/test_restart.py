"""A restart costs nothing: what the waits took is kept, sealed, and taken again; what cannot be used is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge.config import Config
from edge.daemon.remembering import Remembering
from edge.exchange.codec import local_sightings
from edge.exchange.tokens import ExchangeKeys
from edge.messages import Wait, parse_utc
from edge.waiting.memory import KEPT_NS, Memory
from edge.waiting.sightings import BoothChange, LoopCount, PlateSighting, Sighting, TagSighting
from edge.waiting.timeline import LIVE_REORDER_NS
from edge.waiting.waits import CrossingWaits
from tests.waits.score import config_of
from tests.waits.traffic import START_NS, Readers, Scenario, World, sightings, simulate

S = 1_000_000_000
HOUR_NS = 3600 * S
KEYS = ExchangeKeys(b"\x01" * 32, 24 * HOUR_NS)
OTHER_KEYS = ExchangeKeys(b"\x02" * 32, 24 * HOUR_NS)


class Computer:
    """A daemon's waits without its devices: time passes in ticks, what it takes is kept."""

    def __init__(self, folder: Path, config: Config, now_ns: int, keys: ExchangeKeys = KEYS) -> None:
        self.memory = Memory(folder, config, keys, random=os.urandom)
        self.waits = CrossingWaits(config, reorder_ns=LIVE_REORDER_NS)
        self.kept = self.memory.recall(now_ns)
        self.keys = keys
        self.out: list[Wait] = []
        if self.kept.sightings:
            assert self.kept.last_ns is not None
            again = self.waits.recall(self.kept.sightings, self.kept.last_ns, now_ns)
            self.out += [wait for wait in again if parse_utc(wait.time) > (self.kept.told_ns or 0)]
        self._tick_ns = now_ns

    def run(self, lines: list[Sighting], until_ns: int) -> None:
        """`lines` come at their times, to the second."""
        coming = iter(sorted((s for s in lines if self._tick_ns <= s.time_ns < until_ns), key=lambda s: s.time_ns))
        line = next(coming, None)
        while self._tick_ns < until_ns:
            self._tick_ns += S
            while line is not None and line.time_ns < self._tick_ns:
                for taken in local_sightings(line, self.keys):
                    self.waits.feed(taken)
                    self.memory.note(taken)
                line = next(coming, None)
            made = self.waits.advance(self._tick_ns)
            if made:
                self.out += made
                self.memory.told(parse_utc(made[-1].time))
            self.memory.write(self._tick_ns)


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(Scenario(seed=5, hours=10.0))


def _at(hours: float) -> int:
    return START_NS + round(hours * 3600) * S


ROWS: dict[str, Readers] = {
    "tags": Readers(tag_rate=0.6),
    "plates": Readers(plate_rate=0.85),
    "axles": Readers(axles=True, loops=False),
    "loops": Readers(),
}


@pytest.mark.parametrize("row", list(ROWS))
def test_after_a_kill_the_waits_go_on_as_if_nothing_had_been(world: World, row: str, tmp_path: Path) -> None:
    config, lines = config_of(world.scenario), sightings(world, ROWS[row], disorder_s=0.0)
    begun, killed, back, end = _at(5.0), _at(8.5) + 31 * S, _at(8.5) + 36 * S, _at(9.5)
    whole = Computer(tmp_path / "whole", config, begun)
    whole.run(lines, end)
    before = Computer(tmp_path / "killed", config, begun)
    before.run(lines, killed)
    after = Computer(tmp_path / "killed", config, back)
    assert not after.kept.trouble
    after.run(lines, end)
    expected = {(w.time, w.lane, w.program): w for w in whole.out}
    queue = max(w.queue_vehicles or 0.0 for w in before.out[-7:])
    assert queue > 15.0, "there is a queue to be lost"
    again = [w for w in after.out if w.lane != "_"]
    assert parse_utc(again[0].time) - back <= 60 * S
    inside = known = off_s = 0.0
    for wait in again:
        one = expected[wait.time, wait.lane, wait.program]
        if one.expected_s is None or one.low_s is None or one.high_s is None:
            continue
        assert wait.expected_s is not None, f"{wait.lane} at {wait.time}"
        known += 1
        inside += one.low_s <= wait.expected_s <= one.high_s
        off_s += abs(wait.expected_s - one.expected_s)
    assert known > 200
    assert inside / known > 0.97
    assert off_s / known < 60.0
    told = [(w.time, w.lane, w.program) for w in [*before.out, *after.out]]
    assert len(told) == len(set(told)), "no interval is told twice"


def test_nothing_in_clear_is_kept(world: World, tmp_path: Path) -> None:
    lines = sightings(world, Readers(tag_rate=0.6, plate_rate=0.85))
    Computer(tmp_path, config_of(world.scenario), _at(7.0)).run(lines, _at(8.0))
    data = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert len(data) > 10_000
    for truck in world.trucks:
        assert truck.plate.encode() not in data
        assert truck.tag is None or truck.tag.encode() not in data


def test_what_is_kept_is_gone_after_some_hours(world: World, tmp_path: Path) -> None:
    lines = sightings(world, Readers(tag_rate=0.6))
    computer = Computer(tmp_path, config_of(world.scenario), _at(0.5))
    computer.run(lines, _at(9.9))
    kept = Memory(tmp_path, config_of(world.scenario), KEYS).recall(_at(9.9))
    assert kept.sightings
    assert min(s.time_ns for s in kept.sightings) > _at(9.9) - KEPT_NS - 2 * HOUR_NS
    assert Memory(tmp_path, config_of(world.scenario), KEYS).recall(_at(30.0)).sightings == []
    assert list(tmp_path.iterdir()) == []


def test_without_a_key_counts_and_booths_alone_are_kept(world: World, tmp_path: Path) -> None:
    memory = Memory(tmp_path, config_of(world.scenario), None)
    seen: list[Sighting] = [
        LoopCount(START_NS, "C01", "approach"),
        TagSighting(START_NS, "C01", "approach", "TAG1"),
        PlateSighting(START_NS, "C01", "approach", "AB12345"),
        BoothChange(START_NS, "C01", "booth", True, None),
    ]
    for sighting in seen:
        memory.note(sighting)
    memory.write(START_NS + S)
    assert Memory(tmp_path, config_of(world.scenario), None).recall(START_NS + S).sightings == [seen[0], seen[3]]


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _version(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"waits-memory/1", b"waits-memory/9", 1))


def _length(path: Path) -> None:
    data = path.read_bytes()
    at = data.index(b"\n") + 1
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])


def _noise(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


@pytest.mark.parametrize("harm", [_damage, _version, _length, _noise])
def test_a_damaged_file_is_set_aside_and_said(harm: Callable[[Path], None], world: World, tmp_path: Path) -> None:
    config, lines = config_of(world.scenario), sightings(world, Readers(tag_rate=0.6))
    Computer(tmp_path, config, _at(7.0)).run(lines, _at(7.5))
    (path,) = tmp_path.iterdir()
    harm(path)
    after = Computer(tmp_path, config, _at(7.5))
    assert after.kept.sightings == []
    (said,) = after.kept.trouble
    assert str(path) in said
    assert [p.suffix for p in tmp_path.iterdir()] == [".set-aside"]
    after.run(lines, _at(8.5))
    assert after.out[-1].expected_s is not None


def test_a_file_that_the_disk_cannot_give_is_set_aside_and_a_folder_is_none(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, lines = config_of(world.scenario), sightings(world, Readers(tag_rate=0.6))
    Computer(tmp_path, config, _at(7.0)).run(lines, _at(7.2))
    (path,) = tmp_path.iterdir()
    (tmp_path / f"{START_NS:020d}.set-aside").mkdir()
    (tmp_path / f"{_at(7.1):020d}.waits").mkdir()
    kept = Memory(tmp_path, config, KEYS).recall(_at(7.2))
    assert kept.sightings
    assert kept.trouble == []
    whole = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self == path:
            raise OSError(5, "Input/output error")
        return whole(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    after = Computer(tmp_path, config, _at(7.2))
    assert [str(path) in text and "Input/output" in text for text in after.kept.trouble] == [True]
    assert not path.exists()
    after.run(lines, _at(7.3))
    assert Memory(tmp_path, config, KEYS).recall(_at(7.3)).sightings


def test_each_trouble_is_in_the_log_whatever_alarm_holds(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(world.scenario)
    config = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, path=str(tmp_path)))
    for noise in (b"", os.urandom(5000)):
        (tmp_path / "waits").mkdir(exist_ok=True)
        (tmp_path / "waits" / f"{START_NS:020d}.waits").write_bytes(noise)
        caplog.clear()
        Remembering(config, KEYS).recall(START_NS + S)
        assert ["set aside" in record.message for record in caplog.records] == [True] * bool(noise)


def test_another_configuration_key_or_time_begins_anew(world: World, tmp_path: Path) -> None:
    config, lines = config_of(world.scenario), sightings(world, Readers(tag_rate=0.6))
    lanes = (msgspec.structs.replace(config.lane[0], direction="outbound"), *config.lane[1:])
    cases: list[tuple[Config, ExchangeKeys, float, str]] = [
        (msgspec.structs.replace(config, lane=lanes), KEYS, 7.2, "configuration"),
        (config, OTHER_KEYS, 7.2, "key"),
        (config, KEYS, 6.0, "future"),
    ]
    for number, (other, keys, hours, word) in enumerate(cases):
        folder = tmp_path / str(number)
        Computer(folder, config, _at(7.0)).run(lines, _at(7.2))
        kept = Memory(folder, other, keys).recall(_at(hours))
        assert kept.sightings == []
        assert word in kept.trouble[0]


def test_a_change_that_means_nothing_to_the_queues_keeps_them(world: World, tmp_path: Path) -> None:
    config, lines = config_of(world.scenario), sightings(world, Readers(tag_rate=0.6))
    Computer(tmp_path, config, _at(7.0)).run(lines, _at(7.2))
    other = msgspec.structs.replace(config, wait=msgspec.structs.replace(config.wait, baseline={"standard": 300.0}))
    kept = Memory(tmp_path, other, KEYS).recall(_at(7.2))
    assert kept.sightings
    assert kept.trouble == []


def test_a_frame_that_was_cut_off_costs_that_frame_alone(world: World, tmp_path: Path) -> None:
    config, lines = config_of(world.scenario), sightings(world, Readers(tag_rate=0.6))
    Computer(tmp_path, config, _at(7.0)).run(lines, _at(7.2))
    (path,) = tmp_path.iterdir()
    whole = Memory(tmp_path, config, KEYS).recall(_at(7.2))
    path.write_bytes(path.read_bytes()[:-7])
    kept = Memory(tmp_path, config, KEYS).recall(_at(7.2))
    assert kept.trouble == []
    assert kept.sightings == whole.sightings[: len(kept.sightings)]
    assert len(kept.sightings) > len(whole.sightings) - 10


def test_a_full_disk_costs_nothing_that_was_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is full in the middle of a frame, and at the start of a file; what waits meanwhile is kept after it."""
    config = config_of(world.scenario)
    seen: list[Sighting] = [LoopCount(START_NS + n * S, "C01", "approach") for n in range(40)]
    memory, written, full = Memory(tmp_path, config, KEYS), os.write, False

    def write(fd: int, data: bytes) -> int:
        if not full:
            return written(fd, data)
        written(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    for hours in (0, 2):  # two hours later another file is begun
        for full in (True, False, True, False):
            memory.note(seen.pop(0))
            try:
                memory.write(START_NS + hours * HOUR_NS + (40 - len(seen)) * S)
            except OSError:
                assert full
    memory.close()
    kept = Memory(tmp_path, config, KEYS).recall(START_NS + 3 * HOUR_NS)
    assert kept.trouble == []
    assert [s.time_ns for s in kept.sightings] == [START_NS + n * S for n in range(8)]


def test_identities_of_before_the_rotation_match_after_it(tmp_path: Path) -> None:
    """Killed before the key rotates, back after it: plates and tags of before are still known."""
    keys = ExchangeKeys(b"\x01" * 32, 12 * HOUR_NS)
    world = simulate(Scenario(seed=6, hours=13.0, peak_load=1.0))
    config = config_of(world.scenario)
    lines = sightings(world, Readers(plate_rate=0.9, tag_rate=0.3), disorder_s=0.0)
    rotates = (START_NS // (12 * HOUR_NS) + 1) * 12 * HOUR_NS
    assert _at(11.0) < rotates < _at(13.0)
    whole = Computer(tmp_path / "whole", config, _at(9.5), keys)
    whole.run(lines, rotates + 900 * S)
    before = Computer(tmp_path / "killed", config, _at(9.5), keys)
    before.run(lines, rotates - 20 * S)
    after = Computer(tmp_path / "killed", config, rotates + 5 * S, keys)
    assert not after.kept.trouble
    after.run(lines, rotates + 900 * S)
    with_it, without = (
        [w.match_rate for w in one.out if w.lane == "_" and w.program is None][-1] for one in (after, whole)
    )
    assert with_it == pytest.approx(without, abs=0.05)
