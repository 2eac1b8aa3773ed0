"""The collector's own figures for Prometheus, served while it runs. Called by `borderflow collect --metrics ADDRESS`.

They are read from the collector when somebody asks, and cost nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.centre.collector import Totals
from edge.centre.feed import Feed, Inbox


class CollectorMetrics(Collector):
    """See the head of this file."""

    def __init__(self, totals: Totals, feeds: Sequence[Feed], inbox: Inbox) -> None:
        self._totals, self._feeds, self._inbox = totals, feeds, inbox

    def collect(self) -> Iterator[Metric]:
        totals = self._totals
        for name, text, value in (
            ("stored", "Messages stored since the start", totals.new),
            ("repeated", "Repeats of messages that were there", totals.repeated),
            ("write_failures", "Batches that the database refused, each time", totals.failures),
        ):
            yield CounterMetricFamily(f"borderflow_collect_{name}", text, value=value)
        rejected = CounterMetricFamily("borderflow_collect_rejected", "What was no message of ours", labels=["reason"])
        for reason, count in dict(totals.reasons).items():
            rejected.add_metric([reason], count)
        yield rejected
        yield GaugeMetricFamily(
            "borderflow_collect_waiting", "Messages taken from brokers and not stored yet", value=self._inbox.qsize()
        )
        connected = GaugeMetricFamily(
            "borderflow_collect_connected", "1 where the broker is connected", labels=["broker"]
        )
        for feed in self._feeds:
            connected.add_metric([feed.name], float(feed.state == "connected"))
        yield connected


def serve(metrics: CollectorMetrics, host: str, port: int) -> None:
    """In a thread of its own, until the process ends; OSError where the address is taken."""
    registry = CollectorRegistry()
    registry.register(metrics)
    start_http_server(port, host, registry)
