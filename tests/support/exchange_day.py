"""A simulated day at a crossing whose approach and booths belong to two computers; how well their vehicles match.

    python tests/support/exchange_day.py [SEED ...]

prints the figures of docs/privacy.md: matching in clear on one computer, and by tokens between two. Traffic, fleets and
misread plates come from tests/waits/traffic.py; matches are held against its truth.
"""

from __future__ import annotations

import bisect
import dataclasses
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from msgspec.structs import replace

from edge.config import Config, Lane, Point, Site
from edge.exchange.codec import MOST_RECORDS, ExchangeReader, ExchangeWriter, local_sightings
from edge.exchange.tokens import ExchangeKeys
from edge.waiting.lane import LaneState
from edge.waiting.match import Match
from edge.waiting.sightings import PlateSighting, Sighting, TagSighting, TokenSighting
from edge.waiting.waits import CrossingWaits
from tests.waits.traffic import START_NS, Readers, Scenario, World, sightings, simulate

DAY_NS = 86_400 * 1_000_000_000
TOPIC = "borderflow-site/v1/CA/0453/approach/exchange"
PLATES = Readers(plate_rate=0.85)


@dataclass(frozen=True)
class Figures:
    """`matchable`: plates were read at both points; the others are counts among the vehicles that were matched."""

    matchable: int
    right: int
    false: int
    by_identity: int
    bytes_on_wire: int
    wire: bytes

    @property
    def missed(self) -> float:
        return 1.0 - self.right / max(1, self.matchable)

    @property
    def false_share(self) -> float:
        return self.false / max(1, self.right + self.false)

    def text(self) -> str:
        return (
            f"matchable {self.matchable}, right {self.right} (missed {self.missed:.1%}), "
            f"false {self.false} ({self.false_share:.2%}), {self.bytes_on_wire / 1e6:.2f} MB on the wire"
        )


def config_of(world: World) -> Config:
    return Config(
        site=Site(country="CA", port="0453"),
        lane=tuple(Lane(id=s.id, traffic="commercial", booths=s.booths) for s in world.scenario.lanes),
        point=(Point(name="approach"), Point(name="booth")),
    )


def in_clear(lines: Iterable[Sighting]) -> tuple[list[Sighting], bytes]:
    return list(lines), b""


def by_tokens(keys: ExchangeKeys) -> Callable[[Iterable[Sighting]], tuple[list[Sighting], bytes]]:
    """The approach's sightings go as payloads to the computer of the booths, a second later."""
    numbers = iter(range(1, 1 << 40))

    def carry(lines: Iterable[Sighting]) -> tuple[list[Sighting], bytes]:
        sealer = ExchangeWriter(keys, TOPIC, lambda n: next(numbers).to_bytes(n, "big"))
        opener = ExchangeReader(keys)
        out: list[Sighting] = []
        wire = bytearray()
        waiting: list[Sighting] = []

        def send(now_ns: int) -> None:
            payload = sealer.seal(waiting, now_ns)
            wire.extend(payload)
            out.extend(opener.open(TOPIC, payload, now_ns))
            waiting.clear()

        last_ns = 0
        for line in lines:
            last_ns = max(last_ns, line.time_ns)
            if waiting and (last_ns - waiting[0].time_ns > 1_000_000_000 or len(waiting) >= MOST_RECORDS):
                send(last_ns)
            if line.point == "approach":
                waiting.append(line)
            else:
                out += local_sightings(line, keys)
        if waiting:
            send(last_ns)
        assert not opener.counters
        assert not any(getattr(s, "id", "") and not isinstance(s, TokenSighting) for s in out if s.point == "approach")
        return out, bytes(wire)

    return carry


def run(
    world: World,
    lines: list[Sighting],
    carry: Callable[[Iterable[Sighting]], tuple[list[Sighting], bytes]],
    start_ns: int = START_NS,
) -> Figures:
    """Matches by identity of one pass over the lines, against the truth; `start_ns` is the world's second 0."""
    carried, wire = carry(lines)
    found: list[tuple[str, Match]] = []
    before = LaneState.arrived

    def arrived(lane: LaneState, match: Match) -> bool:
        found.append((lane.id, match))
        return before(lane, match)

    LaneState.arrived = arrived  # type: ignore[method-assign]
    try:
        crossing = CrossingWaits(config_of(world))
        for sighting in carried:
            crossing.feed(sighting)
            crossing.take()
        crossing.finish()
    finally:
        LaneState.arrived = before  # type: ignore[method-assign]
    return _score(world, lines, found, wire, start_ns)


def _score(world: World, lines: list[Sighting], found: list[tuple[str, Match]], wire: bytes, start_ns: int) -> Figures:
    reads = {(line.point, line.lane): [] for line in lines}
    for line in lines:
        if getattr(line, "id", ""):
            reads[line.point, line.lane].append((line.time_ns - start_ns) / 1e9)
    for times in reads.values():
        times.sort()

    def was_read(point: str, lane: str, t: float) -> bool:
        times = reads.get((point, lane), [])
        at = bisect.bisect_left(times, t - 0.4)
        return at < len(times) and times[at] < t + 0.4

    spec = world.scenario.lanes
    by_booth: dict[str, list[tuple[float, float]]] = {lane.id: [] for lane in spec}
    matchable = set()
    for truck in world.truth():
        assert truck.t_booth is not None
        lane = spec[truck.lane_to].id
        by_booth[lane].append((truck.t_booth, truck.t_from))
        if was_read("approach", spec[truck.lane_from].id, truck.t_from) and was_read("booth", lane, truck.t_booth):
            matchable.add((truck.t_booth, truck.t_from))
    for pairs in by_booth.values():
        pairs.sort()
    right = false = by_identity = 0
    for lane_id, match in found:
        if match.upstream is None or not match.by_identity:
            continue
        by_identity += 1
        t = (match.time_ns - start_ns) / 1e9
        pairs = by_booth[lane_id]
        at = bisect.bisect_left(pairs, (t, 0.0))
        truth = min(pairs[max(0, at - 1) : at + 1], key=lambda pair: abs(pair[0] - t))
        upstream_s = (match.upstream_ns - start_ns) / 1e9
        if abs(truth[1] - upstream_s) < 1.5:
            right += truth in matchable
        else:
            false += 1
    return Figures(len(matchable), right, false, by_identity, len(wire), wire)


def earlier(lines: list[Sighting], by_ns: int) -> list[Sighting]:
    """The same day, so much earlier: puts a midnight where it hurts."""
    return [replace(line, time_ns=line.time_ns - by_ns) for line in lines]


PEAK_NS = round(8.5 * 3600e9)


def equal_hashes(keys: ExchangeKeys) -> Callable[[Iterable[Sighting]], tuple[list[Sighting], bytes]]:
    """What a plain keyed hash of each plate would do: equal or not."""

    def carry(lines: Iterable[Sighting]) -> tuple[list[Sighting], bytes]:
        out: list[Sighting] = []
        for line in lines:
            if isinstance(line, PlateSighting):
                at = (line.time_ns, line.lane, line.point)
                out += [TagSighting(*at, tokens.whole.hex()) for tokens in keys.plate(line.id, line.time_ns)]
            else:
                out.append(line)
        return out, b""

    return carry


def main() -> None:
    for seed in [int(word) for word in sys.argv[1:]] or [1, 2, 3]:
        world = simulate(Scenario(seed=seed))
        for error in (0.0, 0.08, 0.2):
            lines = sightings(world, dataclasses.replace(PLATES, plate_error=error), seed=7)
            print(f"seed {seed}, misread {error:.0%}")
            keys = ExchangeKeys(b"k" * 32, DAY_NS)
            print("  in clear      ", run(world, lines, in_clear).text())
            print("  by tokens     ", run(world, lines, by_tokens(keys)).text())
            midnight = run(world, earlier(lines, PEAK_NS), by_tokens(keys), START_NS - PEAK_NS)
            print("  midnight 8:30 ", midnight.text())
            print("  equal hashes  ", run(world, lines, equal_hashes(keys)).text())


if __name__ == "__main__":
    main()
