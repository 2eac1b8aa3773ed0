"""Truth against what arrived: lines of truth and published messages in, one reconciliation out. Pure; no I/O.

Called by `borderflow-sim verify` and by the hardware-in-the-loop tests. Truth lines are those of `serve` (`truth.py`),
messages are the published JSON objects; a message may have `received`, the time at which the subscriber had it.

Vehicles are paired in each lane by the time at which the first axle crossed, nearest pairs first, each once. What is
flagged `partial` has lost its beginning or its end, so it also goes with a vehicle that was over the array then; a
vehicle of which there is nothing else is found in part. A vehicle without a message is missed, a message without a
vehicle invented; a message that came twice (same topic, epoch and
`seq`) counts once. Waits are compared interval by interval with what the vehicles that reached the booth really waited.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from firmware_sim.proof.expected_alarms import EXPECTED
from firmware_sim.proof.results import (
    FaultResult,
    Reconciliation,
    SightingResult,
    TopicResult,
    VehicleResult,
    WaitResult,
    spread,
)

Line = Mapping[str, Any]

MATCH_WITHIN_S = 1.5
SIGHTING_WITHIN_S = 2.0
ALARM_WITHIN_S = 30.0  # an alarm later than this after a fault ended has another cause


def reconcile(
    truth: Iterable[Line],
    messages: Iterable[Line],
    *,
    from_time: str | None = None,
    to_time: str | None = None,
    match_within_s: float = MATCH_WITHIN_S,
) -> Reconciliation:
    """Compare; only what happened in `from_time` .. `to_time` (RFC 3339) is judged, for example while both sides ran.

    Raises KeyError or ValueError where a line has not the keys of its kind.
    """
    window = (_seconds(from_time) if from_time else -math.inf, _seconds(to_time) if to_time else math.inf)
    facts: dict[str, list[Line]] = defaultdict(list)
    for line in truth:
        facts[str(line["kind"])].append(line)
    published, topics = _unique(messages)
    pairs, vehicles = _vehicles(facts["vehicle"], published["vehicle"], window, match_within_s)
    return Reconciliation(
        vehicles=vehicles,
        sightings=_sightings(facts["sighting"], published["sighting"], pairs, window),
        waits=_waits(facts["wait"], published["wait"], window),
        topics=topics,
        faults=_faults(facts["fault"], published["alarm"]),
    )


def _unique(messages: Iterable[Line]) -> tuple[dict[str, list[Line]], tuple[TopicResult, ...]]:
    """The messages by kind, each once, and what their numbers say of each topic."""
    kinds: dict[str, list[Line]] = defaultdict(list)
    seen: dict[str, dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    for message in messages:
        kind = str(message["schema"]).split("/")[1]
        if "seq" in message:
            site = message.get("site", {})
            topic = f"{site.get('country')}/{site.get('port')}/{message['source']}/{message['lane']}/{kind}"
            numbers = seen[topic][str(message.get("epoch"))]
            numbers[int(message["seq"])] += 1
            if numbers[int(message["seq"])] > 1:
                continue
        kinds[kind].append(message)
    results = [
        TopicResult(
            topic=topic,
            messages=sum(len(numbers) for numbers in epochs.values()),
            duplicates=sum(numbers.total() - len(numbers) for numbers in epochs.values()),
            missing=sum(max(numbers) - min(numbers) + 1 - len(numbers) for numbers in epochs.values()),
            epochs=len(epochs),
        )
        for topic, epochs in sorted(seen.items())
    ]
    return kinds, tuple(results)


def _vehicles(
    truth: list[Line], messages: list[Line], window: tuple[float, float], within_s: float
) -> tuple[list[tuple[Line, Line]], VehicleResult]:
    pairs = _pair(truth, messages, within_s, lambda line: str(line["lane"]))
    met_truth = {id(fact) for fact, _ in pairs}
    met_messages = {id(message) for _, message in pairs}
    pieces = _pieces(truth, [message for message in messages if id(message) not in met_messages], within_s)
    in_part = {id(fact) for fact, _ in pieces} - met_truth
    found_in_part = sum(_inside(fact, window) for fact in truth if id(fact) in in_part)
    met_truth |= in_part
    met_messages |= {id(message) for _, message in pieces}
    missed = [fact for fact in truth if id(fact) not in met_truth and _inside(fact, window)]
    invented = [message for message in messages if id(message) not in met_messages and _inside(message, window)]
    pairs = [(fact, message) for fact, message in pairs if _inside(fact, window)]
    right = [(fact, message) for fact, message in pairs if len(fact["axles"]) == len(message["axles"])]
    clean = [(fact, message) for fact, message in right if not message.get("flags")]
    axles = [
        (true["load_kg"], axle["load_kg"])
        for fact, message in clean
        for true, axle in zip(fact["axles"], message["axles"], strict=True)
    ]
    lengths = [m["length_m"] - f["length_m"] for f, m in clean if m.get("length_m") is not None]
    speeds = [m["speed_mps"] / f["speed_mps"] - 1 for f, m in clean if m.get("speed_mps") and f["speed_mps"]]
    return pairs, VehicleResult(
        truth=len(pairs) + found_in_part + len(missed),
        found=len(pairs) + found_in_part,
        in_part=found_in_part,
        missed=tuple(_named(fact, str(fact.get("truth", {}).get("kind", "vehicle"))) for fact in missed),
        invented=tuple(_named(message, f"{len(message['axles'])} axles") for message in invented),
        axle_count_right=len(right),
        class_right=sum(fact["class"]["code"] == message["class"]["code"] for fact, message in pairs),
        flagged=sum(bool(message.get("flags")) for _, message in pairs),
        gross_relative=spread([m["gross_kg"] / f["gross_kg"] - 1 for f, m in clean]),
        axle_relative=spread([measured / true - 1 for true, measured in axles if true]),
        speed_relative=spread(speeds),
        length_m=spread(lengths),
        time_s=spread([_seconds(m["time"]) - _seconds(f["time"]) for f, m in clean]),
        latency_s=spread(
            [
                _seconds(message["received"]) - _seconds(fact["truth"]["left"])
                for fact, message in pairs
                if "received" in message and "left" in fact.get("truth", {})
            ]
        ),
    )


def _pieces(truth: list[Line], messages: list[Line], within_s: float) -> list[tuple[Line, Line]]:
    """Messages flagged `partial` with the vehicle that was over the array then."""
    pairs: list[tuple[Line, Line]] = []
    for message in messages:
        at = _seconds(message["time"])
        over = (
            fact
            for fact in truth
            if fact["lane"] == message["lane"]
            and "left" in fact.get("truth", {})
            and _seconds(fact["time"]) - within_s <= at <= _seconds(fact["truth"]["left"]) + within_s
        )
        fact = next(over, None) if "partial" in message.get("flags", ()) else None
        if fact is not None:
            pairs.append((fact, message))
    return pairs


def _sightings(
    truth: list[Line], messages: list[Line], vehicles: list[tuple[Line, Line]], window: tuple[float, float]
) -> SightingResult:
    readings = [line for line in truth if line["medium"] in ("rfid", "plate")]
    heard = [message for message in messages if message["medium"] in ("rfid", "plate")]
    pairs = _pair(readings, heard, SIGHTING_WITHIN_S, lambda line: f"{line['lane']} {line['point']} {line['medium']}")
    met = {id(message) for _, message in pairs}
    names_of: dict[str, set[str]] = defaultdict(set)
    ids_of: dict[str, set[str]] = defaultdict(set)
    vehicles_of: dict[str, set[int]] = defaultdict(set)
    for fact, message in pairs:
        vehicles_of[message["pseudonym"]].add(fact["vehicle"])
        if fact["medium"] == "rfid":
            names_of[fact["id"]].add(message["pseudonym"])
            ids_of[message["pseudonym"]].add(fact["id"])
    single = [tag for tag, names in names_of.items() if len(names) == 1 and len(ids_of[next(iter(names))]) == 1]
    on_right = on_wrong = 0
    for fact, message in vehicles:
        for identity in message.get("identities", ()):
            if identity["pseudonym"] in vehicles_of:
                right = fact["truth"]["vehicle"] in vehicles_of[identity["pseudonym"]]
                on_right, on_wrong = on_right + right, on_wrong + (not right)
    return SightingResult(
        truth=sum(_inside(line, window) for line in readings),
        found=sum(_inside(fact, window) for fact, _ in pairs),
        invented=sum(id(message) not in met and _inside(message, window) for message in heard),
        pseudonyms_right=len(single),
        pseudonyms_wrong=len(names_of) - len(single),
        on_vehicles_right=on_right,
        on_vehicles_wrong=on_wrong,
    )


def _waits(truth: list[Line], messages: list[Line], window: tuple[float, float]) -> WaitResult:
    known = [line for line in truth if line["wait_s"] is not None]
    medians: list[float] = []
    expected: list[float] = []
    covered: list[bool] = []
    counts = intervals = told = really = 0
    for message in messages:
        end = _seconds(message["time"])
        begin = end - message["interval_s"]
        if not (window[0] <= begin and end <= window[1]):
            continue
        mine = [line for line in known if _concerns(message, line)]
        arrived = [line["wait_s"] for line in mine if begin <= _seconds(line["time"]) < end]
        intervals += 1
        count = int(message["experienced"]["count"])
        counts += count == len(arrived)
        if message["lane"] != "_":
            told += count
            really += len(arrived)
        median_s = message["experienced"]["median_s"]
        if median_s is not None and arrived:
            medians.append(median_s - statistics.median(arrived))
        joined = [(_seconds(line["time"]) - line["wait_s"], line["wait_s"]) for line in mine]
        later = [(at, wait_s) for at, wait_s in joined if end <= at < end + message["interval_s"]]
        if message["expected_s"] is not None and later:
            wait_s = min(later)[1]
            expected.append(message["expected_s"] - wait_s)
            if message["low_s"] is not None and message["high_s"] is not None:
                covered.append(message["low_s"] <= wait_s <= message["high_s"])
    return WaitResult(
        intervals=intervals,
        count_right=counts,
        vehicles_truth=really,
        vehicles_reported=told,
        median_s=spread(medians),
        expected_s=spread(expected),
        expected_covered=sum(covered) / len(covered) if covered else None,
    )


def _concerns(message: Line, line: Line) -> bool:
    """Whether a true wait is one of those that a message speaks of: a lane, a program, or the whole crossing."""
    if message["lane"] != "_":
        return bool(message["lane"] == line["lane"])
    return message["program"] is None or bool(message["program"] == line["program"])


def _faults(truth: list[Line], alarms: list[Line]) -> tuple[FaultResult, ...]:
    results: list[FaultResult] = []
    for number, fault in enumerate(truth):
        if fault["state"] != "begin":
            continue
        begin = _seconds(fault["time"])
        same = (fault["device"], fault["fault"])
        over = (later for later in truth[number + 1 :] if (later["device"], later["fault"]) == same)
        end = next((_seconds(later["time"]) for later in over if later["state"] == "end"), begin)
        line = fault.get("options", {}).get("input")  # another input: another fault
        mine = sorted(
            (a for a in alarms if a.get("device") == fault["device"] and line in (None, a.get("sensor", line))),
            key=lambda a: _seconds(a["time"]),
        )
        # An alarm ends some time after its fault: a fault that comes before that finds it begun.
        held = {a["code"]: a for a in mine if _seconds(a["time"]) < begin}
        began = [a for a in held.values() if a["state"] == "begin"]
        began += [a for a in mine if a["state"] == "begin" and begin <= _seconds(a["time"]) <= end + ALARM_WITHIN_S]
        expected = EXPECTED.get(fault["fault"], ())
        first = next((a for a in began if a["code"] in expected), began[0] if began else None)
        ended = first is not None and any(
            a["state"] == "end" and a["code"] == first["code"] and _seconds(a["time"]) >= _seconds(first["time"])
            for a in mine
        )
        results.append(
            FaultResult(
                device=fault["device"],
                fault=fault["fault"],
                begin=fault["time"],
                expected=expected,
                alarm=first["code"] if first is not None else None,
                alarm_after_s=round(_seconds(first["time"]) - begin, 3) if first is not None else None,
                ended=ended,
            )
        )
    return tuple(results)


def _pair(
    truth: list[Line], messages: list[Line], within_s: float, place: Callable[[Line], str]
) -> list[tuple[Line, Line]]:
    """Pairs of the same place, nearest in time first, each line in one pair at most; in the order of truth."""
    by_place: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, message in enumerate(messages):
        by_place[place(message)].append((_seconds(message["time"]), number))
    candidates = [
        (abs(at - _seconds(fact["time"])), index, number)
        for index, fact in enumerate(truth)
        for at, number in by_place[place(fact)]
        if abs(at - _seconds(fact["time"])) <= within_s
    ]
    of_truth: dict[int, int] = {}
    taken: set[int] = set()
    for _, index, number in sorted(candidates):
        if index not in of_truth and number not in taken:
            of_truth[index] = number
            taken.add(number)
    return [(truth[index], messages[number]) for index, number in sorted(of_truth.items())]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _inside(line: Line, window: tuple[float, float]) -> bool:
    return window[0] <= _seconds(line["time"]) <= window[1]


def _named(line: Line, what: str) -> str:
    return f"{line['lane']} {line['time']} {what}"
