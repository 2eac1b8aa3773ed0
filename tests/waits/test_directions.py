"""A wait is about one direction and one kind of traffic: nothing of the one is seen in the messages of the other."""

from __future__ import annotations

import msgspec

from edge.config import Config, Lane, Point, Site
from edge.messages import Wait, encode, topic_of
from edge.waiting.sightings import Sighting, TagSighting
from edge.waiting.waits import CrossingWaits
from edge.watch.view import CrossingView
from tests.waits.traffic import START_NS

S = 1_000_000_000
BRIDGE = (
    Lane(id="In1", traffic="commercial"),
    Lane(id="In2", traffic="commercial", program="FAST"),
    Lane(id="Out1", traffic="commercial", direction="outbound"),
    Lane(id="Bus", traffic="bus", direction="outbound"),
)
WAITS_S = {"In1": 900, "In2": 500, "Out1": 60, "Bus": 200}


def config_of(lanes: tuple[Lane, ...] = BRIDGE) -> Config:
    points = (Point(name="approach"), Point(name="booth"))
    return Config(site=Site(country="CA", port="0453"), lane=lanes, point=points)


def traffic(lanes: tuple[Lane, ...] = BRIDGE, minutes: int = 60) -> list[Sighting]:
    """In every lane a tagged vehicle a minute, all of which wait as long."""
    out: list[Sighting] = []
    for lane in lanes:
        for number in range(minutes):
            for point, delay_s in (("approach", 0), ("booth", WAITS_S[lane.id])):
                at_ns = START_NS + (number * 60 + delay_s) * S
                out.append(TagSighting(at_ns, lane.id, point, f"{lane.id}{number:06d}"))
    return sorted(out, key=lambda sighting: sighting.time_ns)


def waits_of(lanes: tuple[Lane, ...], sightings: list[Sighting]) -> list[Wait]:
    crossing = CrossingWaits(config_of(lanes))
    out: list[Wait] = []
    for sighting in sightings:
        crossing.feed(sighting)
        out += crossing.take()
    return out + crossing.finish()


def test_each_direction_and_kind_of_traffic_has_a_wait_of_its_own() -> None:
    last: dict[tuple[str, str | None, str | None, str | None], Wait] = {}
    for wait in waits_of(BRIDGE, traffic()):
        if wait.experienced.median_s is not None:
            last[wait.lane, wait.direction, wait.traffic, wait.program] = wait
    medians = {row: wait.experienced.median_s for row, wait in last.items() if row[0] == "_"}
    crossings = {row[1:3]: median for row, median in medians.items() if row[3] is None}
    assert crossings == {("inbound", "commercial"): 900.0, ("outbound", "commercial"): 60.0, ("outbound", "bus"): 200.0}
    programs = {row[1:]: median for row, median in medians.items() if row[3] is not None}
    assert programs == {
        ("inbound", "commercial", "standard"): 900.0,
        ("inbound", "commercial", "FAST"): 500.0,
        ("outbound", "commercial", "standard"): 60.0,
        ("outbound", "bus", "standard"): 200.0,
    }
    assert last["Out1", "outbound", "commercial", "standard"].gain_s is None
    assert last["In2", "inbound", "commercial", "FAST"].gain_s == 400.0


def test_a_direction_says_the_same_whether_the_other_is_there_or_not() -> None:
    together = waits_of(BRIDGE, traffic())
    for direction in ("inbound", "outbound"):
        lanes = tuple(lane for lane in BRIDGE if lane.direction == direction)
        ids = {lane.id for lane in lanes}
        alone = waits_of(lanes, [sighting for sighting in traffic() if sighting.lane in ids])
        end = alone[-1].time
        mine = [wait for wait in together if wait.direction == direction and wait.time <= end]
        assert [_plain(wait) for wait in mine] == [_plain(wait) for wait in alone]


def test_the_view_keeps_every_row_apart() -> None:
    view = CrossingView()
    for wait in waits_of(BRIDGE, traffic()):
        view.take(topic_of(wait), _dict(wait))
    assert len(view.waits) == len(BRIDGE) + 4 + 3
    line = view.line(topic_of(wait), _dict(wait))
    assert "outbound bus" in line


def _plain(wait: Wait) -> dict[str, object]:
    return {key: value for key, value in _dict(wait).items() if key != "config"}


def _dict(wait: Wait) -> dict[str, object]:
    out: dict[str, object] = msgspec.json.decode(encode(wait))
    return out
