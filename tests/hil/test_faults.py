"""Devices and collectors that fail, at the same time: each is an alarm that says where, and stops nobody else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, Simulator, wait_for
from certificates import Authority
from mosquitto import Mosquitto

from edge.messages import parse_utc
from edge.watch.listen import subscribe

TOLD_WITHIN_S = 5.0


@pytest.mark.hil
@pytest.mark.timeout(300)
def test_each_fault_is_an_alarm_and_everything_else_goes_on(
    tmp_path: Path, authority: Authority, broker: Mosquitto, plain_broker: Mosquitto
) -> None:
    lane = authority.issue("lane-1")
    stranger = Authority(tmp_path / "stranger", "another authority")
    simulator = Simulator(tmp_path, "fast-and-standard")
    everything = 'share = ["vehicle", "sighting", "wait", "flow", "status", "alarm"]\n'
    with simulator.config.open("a") as file:
        file.write(f'\n[[collector]]\nname = "site"\nurl = "mqtt://127.0.0.1:{plain_broker.port}"\n{everything}')
        file.write(
            f'\n[[collector]]\nname = "national"\nurl = "mqtts://127.0.0.1:{broker.port}"\n'
            f'ca_file = "{stranger.ca_file}"\n'
            f'cert_file = "{lane.cert_file}"\nkey_file = "{lane.key_file}"\n'
        )
    daemon = Daemon(simulator.config)
    messages: list[dict[str, Any]] = []
    try:
        with subscribe(f"mqtt://127.0.0.1:{plain_broker.port}", "#", lambda _, message: messages.append(message)):
            daemon.start()
            wait_for("all devices", lambda: all_online(messages), 30)
            wait_for("the refused certificate", lambda: alarm(messages, "collector_certificate", "national"), 15)
            assert "ca_file" in alarm(messages, "collector_certificate", "national")[0]["text"]

            began_s = time.time()
            orders = {
                "daq-c01": "unplugged",
                "tag-c02-approach": "unplugged",
                "io": "exception",
                "lpr-c02-approach": "garbage",
                "tag-c02-booth": "silent",
            }
            for device, fault in orders.items():
                simulator.tell(fault=fault, device=device, for_s=12.0)
            for device in ("daq-c01", "tag-c02-approach"):
                wait_for(f"alarm of {device}", lambda d=device: alarm(messages, "device_down", d), TOLD_WITHIN_S + 2)
                begins = alarm(messages, "device_down", device)[0]
                assert parse_utc(begins["time"]) / 1e9 - began_s < TOLD_WITHIN_S
                assert begins["text"]
            wait_for("alarm of io", lambda: troubled(messages, "io"), TOLD_WITHIN_S + 5)
            wait_for("rubbish counted", lambda: rejected(messages, "lpr-c02-approach") > 0, 45)

            weighed = count(messages, "C02")
            for device in ("daq-c01", "tag-c02-approach", "io"):
                wait_for(f"{device} back", lambda d=device: not open_alarms(messages, d), 70)
            wait_for("the other lane was weighed meanwhile", lambda: count(messages, "C02") > weighed, 60)
            lane_1 = count(messages, "C01")
            wait_for("the first lane is weighed again", lambda: count(messages, "C01") > lane_1, 90)
            read = sum(m["schema"] == "borderflow/sighting/1" for m in messages)
            wait_for(
                "identities go on", lambda: sum(m["schema"] == "borderflow/sighting/1" for m in messages) > read, 30
            )
    finally:
        code = daemon.stop()
        simulator.stop()
    assert code == 0, daemon.log()
    assert "Traceback" not in daemon.log()


def of_kind(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message for message in list(messages) if message["schema"] == f"borderflow/{kind}/1"]


def alarm(messages: list[dict[str, Any]], code: str, device: str) -> list[dict[str, Any]]:
    return [m for m in of_kind(messages, "alarm") if m["code"] == code and m["device"] == device]


def troubled(messages: list[dict[str, Any]], device: str) -> bool:
    return any(m["device"] == device and m["state"] == "begin" for m in of_kind(messages, "alarm"))


def open_alarms(messages: list[dict[str, Any]], device: str) -> bool:
    state: dict[str, str] = {}
    for m in of_kind(messages, "alarm"):
        if m["device"] == device:
            state[m["code"]] = m["state"]
    return "begin" in state.values()


def rejected(messages: list[dict[str, Any]], device: str) -> int:
    statuses = of_kind(messages, "status")
    return sum(statuses[-1]["devices"].get(device, {}).get("rejected", {}).values()) if statuses else 0


def all_online(messages: list[dict[str, Any]]) -> bool:
    statuses = of_kind(messages, "status")
    return bool(statuses) and {device["state"] for device in statuses[-1]["devices"].values()} == {"online"}


def count(messages: list[dict[str, Any]], lane: str) -> int:
    return sum(m["lane"] == lane for m in of_kind(messages, "vehicle"))
