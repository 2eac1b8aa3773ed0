"""A short day of faults at real time: each becomes an alarm of its own that names the device, and ends by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, Simulator, wait_for
from mosquitto import Mosquitto

from edge.watch.listen import subscribe

# What is ordered, on which device, with what, and the alarm that it is: faults that show without waiting for a vehicle.
pytestmark = pytest.mark.long

FAULTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("dead_channel", "daq-c01", {"channel": 3}, "sensor_fault"),
    ("saturated_channel", "daq-c02", {"channel": 4}, "sensor_fault"),
    ("noisy_channel", "daq-c02", {"channel": 2, "factor": 30.0}, "sensor_fault"),
    ("loop_chatter", "daq-c01", {"channel": 8}, "loop_chatter"),
    ("skip_packets", "daq-c02", {"count": 3}, "samples_lost"),
    ("loop_chatter", "io", {"input": "c02-booth-loop"}, "loop_chatter"),
    ("garbage", "lpr-c01-approach", {"every_s": 0.3}, "frames_rejected"),
    ("unplugged", "tag-c02-approach", {}, "device_down"),
    ("silent", "tag-c02-booth", {}, "device_silent"),
]


@pytest.mark.hil
@pytest.mark.timeout(240)
def test_each_fault_of_the_day_begins_and_ends_as_an_alarm(tmp_path: Path, plain_broker: Mosquitto) -> None:
    simulator = Simulator(tmp_path, "fast-and-standard")
    with simulator.config.open("a") as file:
        file.write(
            f'\n[[collector]]\nname = "site"\nurl = "mqtt://127.0.0.1:{plain_broker.port}"\n'
            'share = ["vehicle", "status", "alarm"]\n'
        )
    daemon = Daemon(simulator.config)
    messages: list[dict[str, Any]] = []

    def seen(code: str, device: str, state: str) -> bool:
        return any(m.get("code") == code and m.get("device") == device and m["state"] == state for m in list(messages))

    def all_online() -> bool:
        statuses = [m for m in list(messages) if m["schema"] == "borderflow/status/1"]
        return bool(statuses) and {d["state"] for d in statuses[-1]["devices"].values()} == {"online"}

    try:
        with subscribe(f"mqtt://127.0.0.1:{plain_broker.port}", "#", lambda _, message: messages.append(message)):
            daemon.start()
            wait_for("all devices", all_online, 30)
            assert not [m for m in messages if m.get("code")], "an alarm before anything was at fault"
            for kind, device, options, _ in FAULTS:
                simulator.tell(fault=kind, device=device, for_s=14.0, **options)
            for kind, device, _, code in FAULTS:
                wait_for(f"{kind} of {device}", lambda c=code, d=device: seen(c, d, "begin"), 40)
            for kind, device, _, code in FAULTS:
                wait_for(f"end of {kind} of {device}", lambda c=code, d=device: seen(c, d, "end"), 90)
            weighed = sum("vehicle" in m["schema"] for m in messages)
            wait_for("weighing goes on", lambda: sum("vehicle" in m["schema"] for m in list(messages)) > weighed, 60)
    finally:
        code = daemon.stop()
        simulator.stop()
    assert code == 0, daemon.log()
    assert "Traceback" not in daemon.log()
    assert all(m["text"] for m in messages if m.get("code"))
