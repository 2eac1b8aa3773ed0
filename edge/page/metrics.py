"""The state as Prometheus metrics: one scrape, one question to the daemon. Called by the page's `/metrics`.

Labels are names of the configuration alone: lanes, devices, collectors, codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_Family = CounterMetricFamily | GaugeMetricFamily


def exposition(state: dict[str, Any] | None) -> bytes:
    """Text for Prometheus; with None only that the daemon does not answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_State(state))
    return generate_latest(registry)


class _State(Collector):
    def __init__(self, state: dict[str, Any] | None) -> None:
        self._state = state

    def collect(self) -> Iterator[_Family]:
        yield _gauge("borderflow_up", "1 where the daemon answers", self._state is not None)
        if self._state is not None:
            for part in (_computer, _alarms, _devices, _lanes, _waits, _collectors):
                yield from part(self._state)


def _gauge(name: str, text: str, value: float | None = None, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=None if value is None else float(value), labels=labels or None)


def _computer(state: dict[str, Any]) -> Iterator[_Family]:
    info = _gauge("borderflow_info", "Version, and digest of the configuration", labels=("version", "config", "source"))
    info.add_metric([state["versions"]["borderflow"], state["config"], state["source"]], 1)
    yield info
    process, disk, clock = state["process"], state["disk"], state["clock"]
    yield _gauge("borderflow_up_seconds", "Since the daemon's start", state["up_s"])
    yield _gauge("borderflow_memory_bytes", "Resident memory of the daemon", process["memory_bytes"])
    yield CounterMetricFamily("borderflow_cpu_seconds", "Processor time of the daemon", value=process["cpu_s"])
    for key, text in (("free_bytes", "Free on the journal's disk"), ("journal_bytes", "Size of the journal")):
        if disk[key] is not None:
            name = "borderflow_disk_free_bytes" if key == "free_bytes" else "borderflow_journal_bytes"
            yield _gauge(name, text, disk[key])
    yield _gauge("borderflow_journal_most_bytes", "Bound of the journal", disk["journal_most_bytes"])
    yield _gauge("borderflow_journal_waiting_messages", "Not yet durable", state["journal"]["waiting"])
    yield CounterMetricFamily(
        "borderflow_messages_refused", "Lost because the disk took nothing for long", value=state["journal"]["refused"]
    )
    if clock is not None:
        yield _gauge("borderflow_clock_synchronised", "1 where the kernel says so", clock["synchronised"])


def _alarms(state: dict[str, Any]) -> Iterator[_Family]:
    labels = ("code", "severity", "lane", "device", "sensor")
    held = _gauge("borderflow_alarm_age_seconds", "A condition that holds, since it began", labels=labels)
    for alarm in state["alarms"]:
        where = [alarm["lane"], alarm["device"] or "", alarm.get("sensor") or ""]
        held.add_metric([alarm["code"], alarm["severity"], *where], alarm["age_s"])
    yield held
    counted = _gauge("borderflow_alarms", "Conditions that hold", labels=("severity",))
    for severity in ("critical", "warning", "info"):
        counted.add_metric([severity], sum(alarm["severity"] == severity for alarm in state["alarms"]))
    yield counted


def _devices(state: dict[str, Any]) -> Iterator[_Family]:
    online = _gauge("borderflow_device_online", "1 where it is in order", labels=("device", "driver", "lane"))
    rejected = CounterMetricFamily(
        "borderflow_device_rejected_frames", "Frames that were not used", labels=("device", "reason")
    )
    for name, device in state["devices"].items():
        online.add_metric([name, device["driver"], device["lane"] or "_"], device["state"] == "online")
        for reason, count in device["rejected"].items():
            rejected.add_metric([name, reason], count)
    yield online
    yield rejected


def _lanes(state: dict[str, Any]) -> Iterator[_Family]:
    counted = CounterMetricFamily("borderflow_lane_vehicles", "Weighed since the daemon's start", labels=("lane",))
    since = _gauge("borderflow_lane_last_vehicle_age_seconds", "Since the last weighed vehicle", labels=("lane",))
    ok = _gauge("borderflow_sensor_ok", "1 where its channel is in order", labels=("lane", "sensor"))
    for lane in state["lanes"]:
        if lane["digitiser"] is not None:
            counted.add_metric([lane["id"]], lane["vehicles"])
        if lane["last_vehicle_age_s"] is not None:
            since.add_metric([lane["id"]], lane["last_vehicle_age_s"])
        for sensor in lane["sensors"]:
            ok.add_metric([lane["id"], sensor["name"]], sensor["state"] == "ok")
    yield from (counted, since, ok)


def _waits(state: dict[str, Any]) -> Iterator[_Family]:
    labels = ("lane", "direction", "traffic", "program")
    for key, name, text in (
        ("expected_s", "expected_wait_seconds", "What a vehicle that joins now will wait"),
        ("low_s", "expected_wait_low_seconds", "Lower end of its 80 % interval"),
        ("high_s", "expected_wait_high_seconds", "Upper end of its 80 % interval"),
        ("queue_vehicles", "queue_vehicles", "Vehicles in the queue"),
    ):
        family = _gauge(f"borderflow_{name}", text, labels=labels)
        for wait in state["waits"]:
            if wait[key] is not None:  # what is not known has no sample
                family.add_metric([wait[label] or "" for label in labels], wait[key])
        yield family


def _collectors(state: dict[str, Any]) -> Iterator[_Family]:
    connected = _gauge("borderflow_collector_connected", "1 where it is", labels=("collector",))
    backlog = _gauge("borderflow_backlog_messages", "Not yet acknowledged", labels=("collector",))
    oldest = _gauge("borderflow_backlog_oldest_seconds", "Age of the oldest of these", labels=("collector",))
    for name, link in state["collectors"].items():
        connected.add_metric([name], link.get("state") == "connected")
        backlog.add_metric([name], link["backlog"])
        oldest.add_metric([name], link["oldest_age_s"] or 0.0)
    yield from (connected, backlog, oldest)
