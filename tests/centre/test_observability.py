"""Alerts and dashboard name only metrics that exist, and their runbooks are pages with that heading."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from edge.centre.board import app as board_app
from edge.centre.collector import Totals
from edge.centre.metrics import CollectorMetrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "observability" / "borderflow.rules.yml"
DASHBOARD = ROOT / "deploy" / "observability" / "grafana-dashboard.json"
PROMTOOL = shutil.which("promtool")


class Connected:
    name, state = "mqtt://127.0.0.1:1883", "connected"

    def start(self) -> None: ...
    def ask(self, topic: str, body: bytes) -> None: ...
    def stop(self) -> None: ...


def served() -> str:
    """What the collector serves after some work."""
    registry = CollectorRegistry()
    totals = Totals(new=5, repeated=1, rejected=2, failures=1, reasons={"schema": 2})
    registry.register(CollectorMetrics(totals, [Connected()], queue.Queue()))
    return generate_latest(registry).decode()


def test_what_the_collector_serves() -> None:
    text = served()
    for line in (
        "borderflow_collect_stored_total 5.0",
        'borderflow_collect_rejected_total{reason="schema"} 2.0',
        'borderflow_collect_connected{broker="mqtt://127.0.0.1:1883"} 1.0',
        "borderflow_collect_waiting 0.0",
    ):
        assert line in text


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    known = set(re.findall(r"^(borderflow_\w+)", served(), re.M))
    known |= set(re.findall(r'"(borderflow_centre_\w+)"', Path(board_app.__file__).read_text()))
    used = set(re.findall(r"borderflow_\w+", RULES.read_text().replace("borderflow-centre", "")))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    used |= {name for panel in panels for t in panel["targets"] for name in re.findall(r"borderflow_\w+", t["expr"])}
    assert used
    assert used <= known


def test_every_runbook_is_a_page_with_that_heading() -> None:
    for page, _, anchor in re.findall(r"runbook: ([\w/.-]+)(#([\w-]+))?", RULES.read_text()):
        headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.M)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, (page, anchor)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_takes_rules_and_metrics() -> None:
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    command = [str(PROMTOOL), "check", "metrics"]
    done = subprocess.run(command, input=served(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
