"""Lanes that a weight transmitter weighs: plate, driver, daemon and broker give `vehicle` messages with right loads.

From an eNod4 with a loop (800 values a second), over an AED (100), to indicators of static axle scales (20).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, Simulator, plain_collector, wait_for
from mosquitto import MOSQUITTO, Mosquitto

from edge.messages import parse_utc
from edge.watch.listen import subscribe

pytestmark = pytest.mark.long

LANES = {"P1": 2, "P2": 1, "P3": 1, "P4": 1}  # vehicles that are waited for
SAME_S = 1.5  # an indicator's values come late by up to its filter
GROSS, AXLE = 0.04, 0.06  # a wheel bounces while it is on the plate; truth is the static load


@pytest.mark.hil
@pytest.mark.timeout(200)
def test_each_kind_of_transmitter_weighs_vehicles(tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    (tmp_path / "broker").mkdir()
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    simulator = Simulator(tmp_path, "plates")
    url = plain_collector(simulator.config, broker.port)
    daemon = Daemon(simulator.config)
    messages: list[dict[str, Any]] = []

    def weighed(lane: str) -> list[dict[str, Any]]:
        vehicles = [m for m in list(messages) if m["schema"] == "borderflow/vehicle/1" and m["lane"] == lane]
        return [vehicle for vehicle in vehicles if "partial" not in vehicle.get("flags", ())]  # cut by start or end

    try:
        with subscribe(url, "#", lambda _, message: messages.append(message)):
            daemon.start()
            for lane, count in LANES.items():
                wait_for(f"vehicles of {lane}", lambda n=count, lane=lane: len(weighed(lane)) >= n, 100)
            assert daemon.stop() == 0, daemon.log()
    finally:
        simulator.stop()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        broker.kill()
    for lane in LANES:
        for vehicle in weighed(lane):
            compare(vehicle, [truth for truth in simulator.vehicles() if truth["lane"] == lane])


def compare(vehicle: dict[str, Any], truths: list[dict[str, Any]]) -> None:
    """The vehicle is one of the true ones, with its axles and their loads."""
    at_s = parse_utc(vehicle["time"]) / 1e9
    truth = min(truths, key=lambda truth: abs(parse_utc(truth["time"]) / 1e9 - at_s))
    told = (vehicle["lane"], vehicle["time"], truth["time"], loads(vehicle), loads(truth), vehicle.get("flags"))
    assert abs(parse_utc(truth["time"]) / 1e9 - at_s) < SAME_S, told
    assert len(vehicle["axles"]) == len(truth["axles"]), told
    assert vehicle["gross_kg"] == pytest.approx(truth["gross_kg"], rel=GROSS), told
    assert loads(vehicle) == pytest.approx(loads(truth), rel=AXLE), told


def loads(vehicle: dict[str, Any]) -> list[float]:
    return [axle["load_kg"] for axle in vehicle["axles"]]
