"""Every kind of device on one lane computer at the same time: each driver is online, and what it says arrives.

A pseudo-terminal that is pulled out and put back comes back by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, Simulator, plain_collector, wait_for
from mosquitto import MOSQUITTO, Mosquitto

from edge.messages import parse_utc
from edge.watch.listen import subscribe

pytestmark = pytest.mark.long

EVERY_DEVICE = Path(__file__).parents[1] / "emulators" / "every_device.toml"
TRACKING = "C0000201,192.0.2.1,{stratum},{updated_s:.9f},0.00001,0.00001,0.00001,1.0,0.0,0.1,0.0001,0.0002,16.0,{leap}"
READS = {  # device: (lane, point, medium) of its sightings
    "mercury": ("C01", "wim", "rfid"),
    "llrp": ("C01", "booth", "rfid"),
    "ecp": ("C01", "approach", "rfid"),
    "hik": ("C01", "booth", "plate"),
    "lprbin": ("C02", "booth", "plate"),
    "axis": ("C02", "wim", "plate"),
    "r700": ("C01", "exit", "rfid"),
    "dahua": ("C02", "exit", "plate"),
    "alert": ("C02", "approach", "plate"),
}


def scenario(directory: Path) -> str:
    """Every device; strips that weigh 10 % wrong unless the lane is told its temperature, and counts at both ends."""
    text = EVERY_DEVICE.read_text()
    for old, new in (
        ('country = "CA"\nport = "0001"', 'country = "CA"\nport = "0001"\n[weather]\ntemperature_c = 40.0'),
        (
            "sample_rate_hz = 2000.0\nlayout = {",
            "sample_rate_hz = 2000.0\ntemperature_known = false\nlayout = { temp_coeff_per_c = 0.005,",
        ),
        ('kind = "moxa_e1200"\nendpoint = "tcp"', 'kind = "moxa_e1200"\nendpoint = "tcp"\nlane = "C01"'),
        (
            'inputs = [{ name = "loop", signal = "loop", lane = "C01" }]',
            'inputs = [{ name = "in", signal = "loop", lane = "C02", point = "approach" },\n'
            '  { name = "at-booth", signal = "loop", lane = "C02", point = "booth" }]',
        ),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = directory / "every-device.toml"
    file.write_text(text)
    return str(file)


class Chronyc:
    """What stands for the chronyc program: prints what it was told last."""

    def __init__(self, directory: Path) -> None:
        self._answer, self.program = directory / "tracking", directory / "chronyc"
        self.program.write_text(f"#!/bin/sh\ncat {self._answer}\n")
        self.program.chmod(0o755)
        self.follow(False)

    def follow(self, followed: bool) -> None:
        leap, stratum = ("Normal", 2) if followed else ("Not synchronised", 0)
        self._answer.write_text(TRACKING.format(stratum=stratum, leap=leap, updated_s=time.time()) + "\n")


# What these devices say of themselves, and the alarm that it is.
SELF_REPORTED = (
    ("sensor_defect", "enod", "scale_fault"),
    ("adc_overflow", "aed", "scale_overloaded"),
    ("load_cell_error", "laumas", "scale_fault"),
    ("over_range", "toledo", "scale_overloaded"),
    ("return_loss", "mercury", "antenna_fault"),
    ("antenna_lost", "llrp", "antenna_fault"),
)


@contextmanager
def bench(directory: Path, chronyc: Chronyc) -> Iterator[tuple[Simulator, list[dict[str, Any]]]]:
    """Simulator, daemon and broker, and the messages that come."""
    (directory / "broker").mkdir()
    broker = Mosquitto(directory / "broker")
    broker.start()
    simulator = Simulator(directory, scenario(directory))
    config = simulator.config
    config.write_text(config.read_text().replace("interval_s = 60", "interval_s = 5"))
    url = plain_collector(config, broker.port)
    with config.open("a") as file:
        file.write('\n[[device]]\nname = "clock"\ndriver = "chrony"\nurl = "chrony://localhost"\n')
        file.write(f'options = {{ command = "{chronyc.program}" }}\n')
    daemon = Daemon(config)
    messages: list[dict[str, Any]] = []
    try:
        with subscribe(url, "#", lambda _, message: messages.append(message)):
            daemon.start()
            yield simulator, messages
            assert daemon.stop() == 0, daemon.log()
            assert "Traceback" not in daemon.log()
    finally:
        simulator.stop()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        broker.kill()


@pytest.mark.hil
@pytest.mark.timeout(240)
def test_every_device_gives_its_events_and_a_pulled_adapter_comes_back(tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    chronyc = Chronyc(tmp_path)
    with bench(tmp_path, chronyc) as (simulator, messages):

        def of(kind: str, **keys: Any) -> list[dict[str, Any]]:
            found = [m for m in list(messages) if m["schema"] == f"borderflow/{kind}/1"]
            return [m for m in found if all(m.get(key) == value for key, value in keys.items())]

        def alarm(code: str, device: str, state: str) -> bool:
            told = of("alarm", code=code, device=device)
            return bool(told) and told[-1]["state"] == state

        def states() -> dict[str, str]:
            told = of("status")
            return {name: device["state"] for name, device in told[-1]["devices"].items()} if told else {}

        names = {*simulator.ready["devices"], "clock"}
        wait_for("all devices", lambda: states() == dict.fromkeys(names, "online"), 60)
        wait_for("the clock's alarm", lambda: alarm("clock_unsynchronised", "clock", "begin"), 10)
        chronyc.follow(True)
        for fault, device, _ in SELF_REPORTED:
            simulator.tell(fault=fault, device=device, for_s=6.0)
        for _, device, code in SELF_REPORTED:
            wait_for(f"{code} of {device}", lambda c=code, d=device: of("alarm", code=c, device=d), 15)
        for _, device, code in SELF_REPORTED:
            wait_for(f"end of {code} of {device}", lambda c=code, d=device: alarm(c, d, "end"), 50)
        simulator.tell(fault="no_fix", device="gps", for_s=6.0)
        simulator.tell(fault="unplugged", device="enod", for_s=4.0)
        simulator.tell(fault="unplugged", device="ecp", for_s=4.0)
        for device in ("enod", "ecp"):
            wait_for(f"{device} missed", lambda d=device: alarm("device_down", d, "begin"), 10)
        wait_for("the lost fix", lambda: alarm("gps_lost", "gps", "begin"), 10)
        for code, device in (
            ("clock_unsynchronised", "clock"),
            ("gps_lost", "gps"),
            ("device_down", "enod"),
            ("device_down", "ecp"),
        ):
            wait_for(f"{device} in order again", lambda c=code, d=device: alarm(c, d, "end"), 60)
        since = {place: len(of("sighting", **place_of(place))) for place in READS}
        for place in READS:
            wait_for(f"reads of {place}", lambda p=place: len(of("sighting", **place_of(p))) > since[p], 40)
        for lane in ("C01", "C02"):
            wait_for(f"a vehicle on {lane}", lambda lane=lane: whole(of("vehicle", lane=lane)), 60)
        wait_for(
            "counts of both loops",
            lambda: any(w["method"] and w["throughput_per_h"] for w in of("wait", lane="C02")),
            60,
        )
        vehicle, *_ = whole(of("vehicle", lane="C01"))
        told = [truth for truth in simulator.vehicles() if truth["lane"] == "C01"]
    at_ns = parse_utc(vehicle["time"])
    nearest = min(told, key=lambda truth: abs(parse_utc(truth["time"]) - at_ns))
    assert abs(parse_utc(nearest["time"]) - at_ns) < 1e9
    assert vehicle["gross_kg"] == pytest.approx(nearest["gross_kg"], rel=0.05), "the temperature reached the lane"


def place_of(device: str) -> dict[str, str]:
    return dict(zip(("lane", "point", "medium"), READS[device], strict=True))


def whole(vehicles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [vehicle for vehicle in vehicles if not vehicle.get("flags")]
