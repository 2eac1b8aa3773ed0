"""A changed configuration is taken in place: what did not change goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from site_text import device_tables, input_tables, lane_tables

from drivers.events import DeviceState, InputChange, LinkState, SampleBlock, TagRead
from edge import config as cfg
from edge.config.file import load
from edge.crossing import Crossing
from edge.daemon.parts import change, parts_of
from edge.delivery.identity import Pseudonyms, new_key
from edge.messages import Alarm, Message, Vehicle, Wait, parse_utc
from edge.waiting.memory import Recalled
from edge.waiting.sightings import LoopCount, Sighting, TagSighting
from edge.weighing.lane import constant_blocks
from edge.weighing.recording import blocks, open_recording

START_NS = parse_utc("2026-11-24T10:00:00Z")
SECOND_NS = 1_000_000_000
BLOCK_SCANS = 1000

Change = Callable[[cfg.Config], cfg.Config]


def with_collector(config: cfg.Config) -> cfg.Config:
    added = cfg.Collector(name="new", url="mqtt://127.0.0.1:1")
    baseline = {"FAST": 400.0}
    wait = msgspec.structs.replace(config.wait, baseline=baseline)
    return msgspec.structs.replace(config, collector=(*config.collector, added), wait=wait)


def with_gain(lane_id: str) -> Change:
    def changed(config: cfg.Config) -> cfg.Config:
        return msgspec.structs.replace(config, lane=tuple(heavier(lane) for lane in config.lane))

    def heavier(lane: cfg.Lane) -> cfg.Lane:
        if lane.id != lane_id or lane.wim is None:
            return lane
        sensors = tuple(
            msgspec.structs.replace(sensor, gain_n=1.1 * sensor.gain_n) if sensor.gain_n else sensor
            for sensor in lane.wim.sensor
        )
        return msgspec.structs.replace(lane, wim=msgspec.structs.replace(lane.wim, sensor=sensors))

    return changed


def renew(
    crossing: Crossing, config: cfg.Config, now_ns: int, sightings: list[Sighting] | None = None
) -> list[Message]:
    recalled = Recalled(sightings=sightings or [], last_ns=now_ns)
    return crossing.renew(
        config, crossing.new_lanes(config), carry=None, sealers=(), recalled=lambda: recalled, now_ns=now_ns
    )


# ---- what changes -------------------------------------------------------------------------------------------------


@pytest.fixture
def config(crossing: Path) -> cfg.Config:
    """Lanes C01 and C02, each with a digitiser."""
    found = load(crossing / "borderflow.toml")
    lanes = tuple(
        msgspec.structs.replace(lane, wim=msgspec.structs.replace(lane.wim, device=f"daq-{lane.id}"))
        for lane in found.lane
        if lane.wim is not None
    )
    devices = tuple(
        cfg.Device(name=f"daq-{lane.id}", driver="labjack_t7", url="tcp://127.0.0.1:1", lane=lane.id, point="wim")
        for lane in lanes
    )
    return msgspec.structs.replace(found, lane=lanes, device=devices)


def test_what_is_the_same_goes_on(config: cfg.Config) -> None:
    before = parts_of(config, "lane-1")
    assert change(before, parts_of(config, "lane-1")).said == ["nothing has changed"]
    changed = change(before, parts_of(with_collector(config), "lane-1"))
    assert (changed.ended, changed.begun, changed.restarts) == (("wait",), ("collector new", "wait"), ())
    changed = change(before, parts_of(with_gain("C02")(config), "lane-1"))
    assert changed.said == ["lane C02: changed"]


@pytest.mark.parametrize("table", ["site", "store", "identity"])
def test_site_store_and_identity_need_a_new_process(config: cfg.Config, table: str) -> None:
    other = {
        "site": msgspec.structs.replace(config.site, port="9999"),
        "store": msgspec.structs.replace(config.store, path="/elsewhere"),
        "identity": cfg.Identity(key_file="/elsewhere"),
    }
    changed = msgspec.structs.replace(config, **{table: other[table]})
    assert change(parts_of(config, "lane-1"), parts_of(changed, "lane-1")).restarts == (table,)


def test_another_name_of_this_computer_needs_a_new_process(config: cfg.Config) -> None:
    assert change(parts_of(config, "lane-1"), parts_of(config, "lane-2")).restarts == ("site",)


def test_a_renewed_certificate_under_the_same_name_is_a_change(config: cfg.Config, tmp_path: Path) -> None:
    certificate = tmp_path / "lane.pem"
    certificate.write_text("one")
    collector = cfg.Collector(name="national", url="mqtts://h", cert_file=str(certificate), key_file=str(certificate))
    config = msgspec.structs.replace(config, collector=(collector,))
    before = parts_of(config, "lane-1")
    certificate.write_text("two")
    changed = change(before, parts_of(config, "lane-1"))
    assert changed.ended == changed.begun == ("collector national",)


# ---- lanes --------------------------------------------------------------------------------------------------------


def vehicles_of(crossing_dir: Path, config: cfg.Config, changed: Change | None) -> list[Vehicle]:
    """Those of both recordings, block by block in the order of time; the configuration changes in the middle."""
    crossing = Crossing(config, source="lane-1", pseudonyms=None)
    streams: list[SampleBlock] = []
    for lane in ("C01", "C02"):
        recording = open_recording(crossing_dir / f"{lane}.sigmf-meta")
        done = 0
        for stretch, samples in blocks(recording):
            for first in range(0, len(samples), BLOCK_SCANS):
                part = samples[first : first + BLOCK_SCANS]
                block = constant_blocks(
                    part, first_scan=done, start_ns=stretch.time_ns, rate_hz=recording.rate_hz, stream=1
                )
                streams.append(replace(block, device=f"daq-{lane}"))
                done += len(part)
    streams.sort(key=lambda block: block.time_ns)
    made: list[Message] = []
    for number, block in enumerate(streams):
        if changed is not None and number >= len(streams) // 3 and crossing.lanes["C01"].occupied:
            made += renew(crossing, changed(config), block.time_ns)
            changed = None
        made += crossing.event(block)
        made += crossing.advance(block.time_ns)
    assert changed is None
    for pipeline in crossing.lanes.values():
        made += pipeline.finish()
    return [message for message in made if isinstance(message, Vehicle)]


def without_digests(vehicles: list[Vehicle], lane: str) -> list[Vehicle]:
    return [
        msgspec.structs.replace(vehicle, config=msgspec.UNSET, calibration=msgspec.UNSET)
        for vehicle in vehicles
        if vehicle.lane == lane
    ]


def test_a_reload_with_a_vehicle_over_the_array_changes_no_weight(crossing: Path, config: cfg.Config) -> None:
    plain = vehicles_of(crossing, config, None)
    assert len(plain) >= 4
    reloaded = vehicles_of(crossing, config, with_collector)
    for lane in ("C01", "C02"):
        assert without_digests(reloaded, lane) == without_digests(plain, lane)
    assert {vehicle.calibration for vehicle in reloaded} == {vehicle.calibration for vehicle in plain}
    digests = [vehicle.config for vehicle in reloaded]
    assert (digests[0], digests[-1]) == (cfg.digest(config), cfg.digest(with_collector(config)))


def test_other_gains_in_one_lane_leave_the_other_lane_as_it_is(crossing: Path, config: cfg.Config) -> None:
    plain, reloaded = vehicles_of(crossing, config, None), vehicles_of(crossing, config, with_gain("C02"))
    assert without_digests(reloaded, "C01") == without_digests(plain, "C01")
    last, was = without_digests(reloaded, "C02")[-1], without_digests(plain, "C02")[-1]
    assert abs(parse_utc(last.time) - parse_utc(was.time)) < 1_000_000
    assert last.gross_kg == pytest.approx(1.1 * was.gross_kg, rel=0.01)


def test_sensors_that_cannot_work_are_refused_and_nothing_changes(config: cfg.Config) -> None:
    from edge.core import CoreError

    crossing = Crossing(config, source="lane-1", pseudonyms=None)
    before = dict(crossing.lanes)
    lane = config.lane[0]
    assert lane.wim is not None
    empty = msgspec.structs.replace(lane, wim=msgspec.structs.replace(lane.wim, sensor=lane.wim.sensor[:1]))
    with pytest.raises(CoreError):
        crossing.new_lanes(msgspec.structs.replace(config, lane=(empty, *config.lane[1:])))
    assert crossing.lanes == before


# ---- devices, alarms, waits ---------------------------------------------------------------------------------------

READERS = (
    lane_tables()
    + device_tables("tag-approach", point="approach")
    + device_tables("tag-booth", point="booth")
    + device_tables("io", "moxa_e1200", "tcp://127.0.0.1")
    + input_tables(approach_loop="approach", booth_loop="booth")
)


@pytest.fixture
def readers(tmp_path: Path) -> cfg.Config:
    path = tmp_path / "lane.toml"
    path.write_text(READERS)
    new_key(tmp_path / "key")
    return load(path)


def crossing_of(config: cfg.Config, tmp_path: Path, note: Callable[[Sighting], None] | None = None) -> Crossing:
    return Crossing(config, source="lane-1", pseudonyms=Pseudonyms(tmp_path / "key"), note=note)


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def down(device: str, seconds: float) -> DeviceState:
    return DeviceState(device, at(seconds), LinkState.DOWN, "gone", "gone")


def held(crossing: Crossing) -> set[tuple[str, str | None]]:
    return {(alarm.code, alarm.device) for alarm in crossing.alarms.holding()}


def test_the_alarm_of_a_device_that_is_taken_out_ends_and_others_hold(readers: cfg.Config, tmp_path: Path) -> None:
    crossing = crossing_of(readers, tmp_path)
    for device in ("tag-approach", "tag-booth"):
        crossing.event(down(device, 1))
    assert held(crossing) == {("device_down", "tag-approach"), ("device_down", "tag-booth")}
    messages = renew(crossing, msgspec.structs.replace(readers, device=readers.device[1:]), at(2))
    for second in range(2, 60):
        messages += crossing.advance(at(second))
    assert held(crossing) == {("device_down", "tag-booth")}
    ended = [message for message in messages if isinstance(message, Alarm)]
    assert [(alarm.state, alarm.device) for alarm in ended] == [("end", "tag-approach")]
    assert "tag-approach" not in crossing.devices()
    assert crossing.devices()["tag-booth"].state == "down"


def queue(crossing: Crossing, begin_s: float, vehicles: range) -> list[Message]:
    """One vehicle in 30 s comes, and is at the booth after 300 s."""
    made: list[Message] = []
    passes = [(30.0 * k, "tag-approach", k) for k in vehicles]
    passes += [(30.0 * k + 300.0, "tag-booth", k) for k in vehicles]
    for seconds, device, k in sorted(passes):
        made += crossing.event(TagRead(device, at(begin_s + seconds), f"TAG {k:04d}"))
        loop = device.replace("tag-", "") + "-loop"
        made += crossing.event(InputChange("io", at(begin_s + seconds), loop, True))
        made += crossing.event(InputChange("io", at(begin_s + seconds + 2), loop, False))
        made += crossing.advance(at(begin_s + seconds + 3))
    return made


def waits(messages: list[Message]) -> list[Wait]:
    return [message for message in messages if isinstance(message, Wait) and message.lane == "C03"]


def test_another_baseline_leaves_the_queue_as_it_is(readers: cfg.Config, tmp_path: Path) -> None:
    plain, reloaded = crossing_of(readers, tmp_path), crossing_of(readers, tmp_path)
    expected = waits(queue(plain, 0, range(20)) + queue(plain, 900, range(20, 40)))
    other = msgspec.structs.replace(readers, wait=msgspec.structs.replace(readers.wait, baseline={"standard": 100.0}))
    told = waits(queue(reloaded, 0, range(20)) + renew(reloaded, other, at(880)) + queue(reloaded, 900, range(20, 40)))
    assert len(expected) > 20
    assert [without_baseline(wait) for wait in told] == [without_baseline(wait) for wait in expected]
    assert (told[0].reference_s, told[-1].reference_s) == (None, 100.0)


def without_baseline(wait: Wait) -> Wait:
    return msgspec.structs.replace(wait, config=msgspec.UNSET, reference_s=None, change=None, planning_time_index=None)


def test_a_new_lane_takes_the_queue_of_the_old_one_along(readers: cfg.Config, tmp_path: Path) -> None:
    kept: list[Sighting] = []
    crossing = crossing_of(readers, tmp_path, note=kept.append)
    before = waits(queue(crossing, 0, range(40)))[-1]
    assert before.expected_s is not None
    lane = msgspec.structs.replace(readers.lane[0], id="C04")
    now_ns = at(1500)
    kept = [seen for seen in kept if isinstance(seen, TagSighting | LoopCount)]
    made = renew(crossing, msgspec.structs.replace(readers, lane=(*readers.lane, lane)), now_ns, kept)
    for second in range(1500, 1640, 5):
        made += crossing.advance(at(second))
    after = waits(made)[-1]
    assert after.expected_s == pytest.approx(before.expected_s, rel=0.3)
    assert {message.lane for message in made if isinstance(message, Wait)} >= {"C03", "C04"}
