"""The reconciliation on worked examples: each kind of difference is counted where it belongs."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.proof.reconcile import reconcile
from firmware_sim.proof.results import text
from firmware_sim.verify import read_lines

START = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


def at(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def axles(*loads_kg: float) -> list[dict[str, Any]]:
    return [{"position_m": 3.0 * place, "load_kg": load} for place, load in enumerate(loads_kg)]


def true_vehicle(
    number: int, second: float, lane: str = "C01", loads: tuple[float, ...] = (5000, 7000)
) -> dict[str, Any]:
    return {
        "kind": "vehicle",
        "time": at(second),
        "lane": lane,
        "speed_mps": 5.0,
        "length_m": 12.0,
        "gross_kg": float(sum(loads)),
        "axles": axles(*loads),
        "class": {"scheme": "fhwa", "code": "5"},
        "truth": {"vehicle": number, "kind": "truck2", "left": at(second + 3)},
    }


def message(kind: str, seq: int, second: float, lane: str = "C01", **keys: Any) -> dict[str, Any]:
    head = {"schema": f"borderflow/{kind}/1", "epoch": "e", "seq": seq, "time": at(second), "lane": lane, "source": "s"}
    return head | {"site": {"country": "CA", "port": "1"}} | keys


def vehicle(
    seq: int, second: float, lane: str = "C01", loads: tuple[float, ...] = (5000, 7000), **keys: Any
) -> dict[str, Any]:
    measured = {"speed_mps": 5.0, "length_m": 12.0, "gross_kg": float(sum(loads)), "axles": axles(*loads)}
    return message("vehicle", seq, second, lane, **measured, **({"class": {"code": "5"}} | keys))


def test_all_well() -> None:
    truth = [true_vehicle(n, 10.0 * n) for n in range(5)]
    messages = [vehicle(n, 10.0 * n + 0.01, loads=(5050, 7070), received=at(10 * n + 3.2)) for n in range(5)]
    result = reconcile(truth, messages)
    assert result.complete
    assert (result.vehicles.truth, result.vehicles.found, result.vehicles.axle_count_right) == (5, 5, 5)
    assert result.vehicles.gross_relative.mean == pytest.approx(0.01)
    assert result.vehicles.axle_relative.n == 10
    assert result.vehicles.latency_s.p50 == pytest.approx(0.2)
    assert result.vehicles.time_s.worst_abs == pytest.approx(0.01)


def test_missed_invented_and_the_wrong_lane() -> None:
    truth = [true_vehicle(1, 0), true_vehicle(2, 10), true_vehicle(3, 20, "C02")]
    messages = [vehicle(0, 0.1), vehicle(1, 13.0), vehicle(2, 20, "C01"), vehicle(0, 19.6, "C02")]
    result = reconcile(truth, messages)
    assert not result.complete
    assert result.vehicles.missed == ("C01 2026-11-24T13:00:10Z truck2",)
    assert len(result.vehicles.invented) == 2
    inside = reconcile(truth, messages, from_time=at(-1), to_time=at(5))
    assert inside.complete
    assert inside.vehicles.truth == 1


def test_two_messages_for_one_vehicle_leave_the_nearer_one() -> None:
    result = reconcile([true_vehicle(1, 0)], [vehicle(0, 0.5), vehicle(1, 0.1)])
    assert result.vehicles.found == 1
    assert result.vehicles.invented == ("C01 2026-11-24T13:00:00.500000Z 2 axles",)


def test_repeats_count_once_and_gaps_are_losses() -> None:
    truth = [true_vehicle(n, 10.0 * n) for n in range(3)]
    messages = [vehicle(4, 0), vehicle(4, 0), vehicle(5, 10), vehicle(8, 20)]
    result = reconcile(truth, messages)
    (topic,) = result.topics
    assert (topic.topic, topic.messages, topic.duplicates, topic.missing) == ("CA/1/s/C01/vehicle", 3, 1, 2)
    assert result.vehicles.invented == ()
    assert not result.complete


def test_flagged_vehicles_and_wrong_axle_counts_stay_out_of_the_errors() -> None:
    truth = [true_vehicle(n, 10.0 * n) for n in range(3)]
    messages = [vehicle(0, 0), vehicle(1, 10, loads=(1, 1), flags=["partial"]), vehicle(2, 20, loads=(1, 2, 3))]
    result = reconcile(truth, messages)
    assert (result.vehicles.found, result.vehicles.axle_count_right, result.vehicles.flagged) == (3, 2, 1)
    assert result.vehicles.gross_relative.n == 1
    assert result.vehicles.gross_relative.worst_abs == 0.0


def reading(second: float, tag: str, number: int, medium: str = "rfid") -> dict[str, Any]:
    head = {"kind": "sighting", "time": at(second), "lane": "C01", "point": "wim", "medium": medium}
    return head | {"id": tag, "vehicle": number}


def heard(seq: int, second: float, pseudonym: str, medium: str = "rfid") -> dict[str, Any]:
    return message("sighting", seq, second, point="wim", medium=medium, pseudonym=pseudonym, confidence=1.0)


def test_pseudonyms_and_the_vehicles_they_stand_on() -> None:
    truth = [true_vehicle(1, 0), true_vehicle(2, 20), reading(1, "A", 1), reading(21, "B", 2), reading(60, "A", 1)]
    messages = [heard(0, 1.1, "pA"), heard(1, 21.1, "pB"), heard(2, 60.1, "pA"), heard(3, 90, "ghost")]
    identities = [{"medium": "rfid", "pseudonym": "pA"}]
    result = reconcile(truth, [*messages, vehicle(0, 0, identities=identities), vehicle(1, 20, identities=identities)])
    seen = result.sightings
    assert (seen.truth, seen.found, seen.invented) == (3, 3, 1)
    assert (seen.pseudonyms_right, seen.pseudonyms_wrong) == (2, 0)
    assert (seen.on_vehicles_right, seen.on_vehicles_wrong) == (1, 1)
    mixed = reconcile(truth, [heard(0, 1.1, "p"), heard(1, 21.1, "p")])
    assert (mixed.sightings.pseudonyms_right, mixed.sightings.pseudonyms_wrong) == (0, 2)


def true_wait(second: float, wait_s: float | None, lane: str = "C01", program: str = "standard") -> dict[str, Any]:
    return {"kind": "wait", "time": at(second), "lane": lane, "program": program, "vehicle": 1, "wait_s": wait_s}


def wait(seq: int, end: float, count: int, median_s: float | None, lane: str = "C01", **keys: Any) -> dict[str, Any]:
    usual = {"interval_s": 60, "program": None, "expected_s": None, "low_s": None, "high_s": None}
    return message("wait", seq, end, lane, experienced={"count": count, "median_s": median_s}, **(usual | keys))


def test_waits_interval_by_interval() -> None:
    truth = [
        true_wait(10, 100),
        true_wait(30, 120),
        true_wait(50, None),
        true_wait(170, 90),
        true_wait(20, 10, "C02", "FAST"),
    ]
    messages = [
        wait(0, 60, 2, 112.0, expected_s=100.0, low_s=80.0, high_s=95.0),  # who joined at 80 waited 90
        wait(1, 120, 1, None),
        wait(0, 60, 3, 100.0, "_"),
        wait(1, 60, 1, 11.0, "_", program="FAST"),
    ]
    waits = reconcile(truth, messages).waits
    assert (waits.intervals, waits.count_right) == (4, 3)
    assert (waits.vehicles_reported, waits.vehicles_truth) == (3, 2)
    assert waits.median_s.n == 3
    assert waits.median_s.worst_abs == pytest.approx(2.0)
    assert waits.expected_s.mean == pytest.approx(10.0)
    assert waits.expected_covered == 1.0


def test_faults_and_their_alarms() -> None:
    def turn(second: float, state: str, device: str = "io") -> dict[str, Any]:
        return {"kind": "fault", "time": at(second), "device": device, "fault": "unplugged", "state": state}

    def alarm(seq: int, second: float, state: str, code: str = "device_down") -> dict[str, Any]:
        return message("alarm", seq, second, "_", device="io", code=code, state=state)

    truth = [turn(10, "begin"), turn(20, "end"), turn(90, "begin", "rfid")]
    result = reconcile(truth, [alarm(0, 5, "begin", "other"), alarm(1, 12, "begin"), alarm(2, 22, "end")])
    first, second = result.faults
    assert (first.alarm, first.alarm_after_s, first.ended) == ("device_down", 2.0, True)
    assert (second.alarm, second.ended) == (None, False)
    shown = text(result)
    assert "alarm device_down after 2.0 s, ended" in shown
    assert "no alarm" in shown


def test_nothing_at_all() -> None:
    result = reconcile([], [])
    assert result.complete
    assert "none compared" in text(result)
    assert json.loads(json.dumps(result.as_dict()))["vehicles"]["truth"] == 0


def test_what_is_partial_goes_with_the_vehicle_that_was_there() -> None:
    truth = [true_vehicle(0, 0), true_vehicle(1, 20), true_vehicle(2, 40)]
    messages = [
        vehicle(0, 0),
        vehicle(1, 2.5, flags=["partial"]),  # the rest of the first one, which a gap cut
        vehicle(2, 23, flags=["partial"]),
        vehicle(3, 43),
        vehicle(4, 60, flags=["partial"]),
    ]
    result = reconcile(truth, messages).vehicles
    assert (result.truth, result.found, result.in_part) == (3, 2, 1)
    assert [name.split()[1] for name in result.missed] == [at(40)]
    assert [name.split()[1] for name in result.invented] == [at(43), at(60)]


def test_an_alarm_of_another_code_is_not_the_faults() -> None:
    def turn(fault: str, second: float, state: str) -> dict[str, Any]:
        return {"kind": "fault", "time": at(second), "device": "daq", "fault": fault, "state": state}

    def alarm(seq: int, code: str, second: float, state: str) -> dict[str, Any]:
        return message("alarm", seq, second, code=code, state=state, device="daq")

    truth = [turn("swapped_channels", 0, "begin"), turn("swapped_channels", 50, "end")]
    truth += [turn("phantom_tag", 60, "begin"), turn("phantom_tag", 61, "end")]
    messages = [alarm(0, "sensor_fault", 5, "begin"), alarm(1, "sensor_fault", 9, "end")]
    wrong, harmless = reconcile(truth, messages).faults
    assert (wrong.alarm, wrong.seen) == ("sensor_fault", False)
    assert "expected: channels_swapped" in text(reconcile(truth, messages))
    assert (harmless.alarm, harmless.expected) == (None, ())
    messages += [alarm(2, "channels_swapped", 30, "begin"), alarm(3, "channels_swapped", 80, "end")]
    assert reconcile(truth, messages).faults[0].seen


def test_command_on_files(tmp_path: Path) -> None:
    truth, messages = tmp_path / "truth.jsonl", tmp_path / "messages.jsonl"
    ready = json.dumps({"ready": True})
    truth.write_text("\n".join([ready, json.dumps(true_vehicle(1, 0)), '{"kind": "vehi']))
    messages.write_text(json.dumps(vehicle(0, 0.1)) + "\n")

    def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "firmware_sim.cli", "verify", "--truth", str(truth), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    good = verify("--messages", str(messages))
    assert good.returncode == 0, good.stderr
    assert "1 true, 1 found, 0 missed, 0 invented" in good.stdout
    messages.write_text(json.dumps(vehicle(0, 9)) + "\n")
    bad = verify("--messages", str(messages), "--json")
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["vehicles"]["missed"] == ["C01 2026-11-24T13:00:00Z truck2"]
    messages.write_text("no json\nat all\n")
    wrong = verify("--messages", str(messages))
    assert wrong.returncode == 65
    assert "messages.jsonl:1" in wrong.stderr
    assert verify().returncode == 2
    assert verify("--messages", str(tmp_path / "none")).returncode == 69
    assert read_lines(truth) == [true_vehicle(1, 0)]
