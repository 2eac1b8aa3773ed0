"""Simulator, daemon and a real broker with mutual TLS, as processes; what arrives is held against the truth.

The broker is killed for 20 s in the middle, and the daemon is killed and started again: nothing that was measured is
lost, nothing comes twice under two ids, nothing is invented.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, Simulator, complete_configuration, wait_for
from certificates import Authority
from collector import Collector
from jsonschema import Draft202012Validator
from mosquitto import Mosquitto

from edge.contract.schema import json_schema
from edge.messages import KINDS, parse_utc

SAME_S = 1.0  # a measured and a true vehicle are one when their first axles cross x = 0 this near
SETTLED_S = 5.0  # from the first words of a daemon until its devices deliver and the baselines stand
TOLD_S = 4.0  # from the rear of a vehicle leaving the array until it is in the journal: a kill before that takes it


def seconds(utc: str) -> float:
    return parse_utc(utc) / 1e9


def reconcile(truths: list[dict[str, Any]], vehicles: list[dict[str, Any]]) -> tuple[list[Any], list[Any], list[Any]]:
    """(pairs, true vehicles that were not measured, measured ones that were not there)."""
    free = sorted(vehicles, key=lambda vehicle: vehicle["time"])
    pairs, missed = [], []
    for truth in sorted(truths, key=lambda truth: truth["time"]):
        away = {id(v): abs(seconds(v["time"]) - seconds(truth["time"])) for v in free if v["lane"] == truth["lane"]}
        found = min((v for v in free if id(v) in away), key=lambda v: away[id(v)], default=None)
        if found is not None and away[id(found)] < SAME_S:
            free.remove(found)
            pairs.append((truth, found))
        else:
            missed.append(truth)
    return pairs, missed, free


def told(simulator: Simulator, collector: Collector) -> list[Any]:
    """The true vehicles that have arrived, each with its message."""
    return reconcile(simulator.vehicles(), collector.of_kind("vehicle"))[0]


@pytest.mark.hil
@pytest.mark.timeout(420)
def test_nothing_is_lost_when_the_broker_and_the_daemon_die(
    tmp_path: Path, authority: Authority, broker: Mosquitto
) -> None:
    lane, centre = authority.issue("lane-1"), authority.issue("collector")
    simulator = Simulator(tmp_path, "fast-and-standard")
    complete_configuration(
        simulator.config,
        broker_port=broker.port,
        ca_file=authority.ca_file,
        cert_file=lane.cert_file,
        key_file=lane.key_file,
    )
    daemon = Daemon(simulator.config)
    files = {"ca_file": str(authority.ca_file), "cert_file": str(centre.cert_file), "key_file": str(centre.key_file)}
    try:
        with Collector(broker.port, **files) as collector:
            daemon.start()
            wait_for("the first status", lambda: collector.of_kind("status"), 20)
            wait_for("two vehicles", lambda: len(collector.of_kind("vehicle")) >= 2, 60)

            broker.kill()
            time.sleep(20)
            broker.start()
            wait_for("the broker is found again", lambda: len(collector.of_kind("vehicle")) >= 4, 90)

            killed_s = time.time()
            daemon.kill()
            daemon.start()
            vehicles_then = len(told(simulator, collector))
            # Pieces of those that stood on the array when it was killed do not count.
            wait_for("vehicles after the restart", lambda: len(told(simulator, collector)) >= vehicles_then + 3, 120)
            up_s = time.time()
            # A vehicle that stands on the array is told when it has left: wait for all that came while it was up.
            wait_for("all of before", lambda: not unexplained(simulator, collector, killed_s, up_s), 120)
            assert daemon.stop() == 0, daemon.log()
            wait_for("the last words", lambda: not collector.of_kind("status")[-1]["online"], 10)
            for _ in range(10):
                if not collector.gaps():
                    break
                collector.ask_again()
                time.sleep(1)
    finally:
        simulator.stop()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()

    messages = collector.messages
    assert not collector.gaps()
    assert len({message["epoch"] for message in messages}) == 1
    validators = {kind: Draft202012Validator(json_schema(kind)) for kind in KINDS}
    for message in messages:
        body = {key: value for key, value in message.items() if key != "topic"}
        validators[message["schema"].split("/")[1]].validate(body)

    pairs, _, invented = reconcile(simulator.vehicles(), collector.of_kind("vehicle"))
    assert len(pairs) >= 6  # the waits above saw seven
    assert not unexplained(simulator, collector, killed_s, up_s)
    dark = dark_s(collector, killed_s)
    assert not [v for v in invented if not any(a - 30.0 <= seconds(v["time"]) <= b for a, b in dark)], invented
    wrong = [
        (truth["time"], len(truth["axles"]), len(found["axles"]))
        for truth, found in pairs
        if len(truth["axles"]) != len(found["axles"]) and not in_the_dark(truth, dark)
    ]
    assert not wrong
    assert collector.of_kind("wait")
    identified_in_clear(tmp_path, simulator, messages)


def dark_s(collector: Collector, killed_s: float) -> list[tuple[float, float]]:
    """When no daemon watched the array: before its first words, and from the kill to the next ones, UTC seconds."""
    words = [seconds(message["time"]) for message in collector.of_kind("status") if message["online"]]
    again = min((at for at in words if at > killed_s), default=float("inf"))
    return [(0.0, min(words) + SETTLED_S), (killed_s - TOLD_S, again + SETTLED_S)]


def in_the_dark(truth: dict[str, Any], dark: list[tuple[float, float]]) -> bool:
    """True when a part of it crossed, or stood on the array, while nobody watched."""
    return any(seconds(truth["time"]) <= b and seconds(truth["truth"]["left"]) >= a for a, b in dark)


def unexplained(simulator: Simulator, collector: Collector, killed_s: float, until_s: float) -> list[tuple[str, str]]:
    """(time, lane) of the vehicles that crossed before `until_s` under a running daemon and have not arrived."""
    dark = dark_s(collector, killed_s)
    _, missed, _ = reconcile(simulator.vehicles(), collector.of_kind("vehicle"))
    return [(t["time"], t["lane"]) for t in missed if seconds(t["time"]) < until_s and not in_the_dark(t, dark)]


def identified_in_clear(tmp_path: Path, simulator: Simulator, messages: list[dict[str, Any]]) -> None:
    """No plate and no tag of the truth stands anywhere in what the daemon sent, logged or stored."""
    sightings = [line for line in simulator.truth if line["kind"] == "sighting"]
    identities = {line.get("tag") or line.get("plate") or line.get("id") for line in sightings} - {None}
    assert identities
    left = [repr(messages).encode(), (tmp_path / "daemon.log").read_bytes()]
    left += [path.read_bytes() for path in (tmp_path / "store").iterdir() if path.is_file()]
    for identity in identities:
        for blob in left:
            assert str(identity).encode() not in blob
            assert str(identity).replace(" ", "").encode() not in blob
