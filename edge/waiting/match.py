"""Which vehicle downstream is which upstream: the ways of a crossing in, a `Match` for each vehicle that came out.

The work is done in the core (csrc/src/match): identities are compared across all lanes of a direction, because drivers
change lanes; the order of the vehicles is kept lane by lane in the queues. Called by `edge.waiting.waits`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from msgspec import Struct

from edge import core
from edge.waiting.sightings import AxleSighting, BoothChange, LoopCount, PlateSighting, Sighting, TagSighting

TOGETHER_NS = core.TOGETHER_NS
_CAPACITY = 1024  # passages of a lane that are kept
_FEW = 0.05  # vehicles that came unseen; fewer do not matter
_AFTER_A_GAP = 0.05  # before the first that is seen again come any number, twenty in the mean
_SPEED_MPS = 12.0  # of free traffic on an approach, where only its length is known


class Match(Struct, frozen=True, gc=False):
    """What became of one passage downstream. `wait_s` is the best estimate, None where there is none at all."""

    time_ns: int
    upstream: tuple[int, int] | None  # its lane and number there; None: not known
    upstream_ns: int
    wait_s: float | None
    rough_s: float | None  # the mean over all vehicles that it may be, where it is one of them at all
    sd_s: float  # deviation of that mean
    p: float
    sure: bool  # the estimate is good enough to stand alone
    by_identity: bool
    phantom: bool  # no vehicle at all: counted twice
    detour: bool  # matched, but it was somewhere else in between: duty free, another lane, inspection
    readable: bool  # an identity was read downstream
    busy: bool  # it had to wait for the booth

    @property
    def alone_s(self) -> float | None:
        """The wait where it can stand alone: of a vehicle that came straight, and well enough known."""
        return self.wait_s if self.sure and not self.detour else None


def match_of(event: core.Event) -> Match:
    """The event `core.MATCHED` as a record."""
    _, _, _, from_lane, time_ns, pos, upstream_ns, wait_s, rough_s, *others = event
    return Match(
        time_ns,
        (from_lane, pos) if pos >= 0 else None,
        upstream_ns,
        wait_s if wait_s == wait_s else None,
        rough_s if rough_s == rough_s else None,
        *others,
    )


class Segment:
    """All lanes of one direction between two points.

    `lanes`: their numbers, and the booth cycle (s) thought before any was seen; `ends`: numbers of the points.
    """

    def __init__(
        self,
        matcher: core.Matcher,
        ends: tuple[int, int],
        lanes: Mapping[str, tuple[int, float]],
        *,
        main: bool,
        length_m: float | None,
        plates: core.PlateTable,
    ) -> None:
        if length_m is not None and length_m > 0:
            free_flow_s, sd = max(2.0, length_m / _SPEED_MPS), 0.5
        else:
            free_flow_s, sd = 60.0, 0.9
        self.queues = {
            lane: core.QueueFilter(capacity=_CAPACITY, free_flow_s=free_flow_s, free_flow_sd_ln=sd, cycle_s=cycle_s)
            for lane, (_, cycle_s) in lanes.items()
        }
        self.plates = plates
        self._number = {lane: number for lane, (number, _) in lanes.items()}
        self._matcher = matcher
        self.way = matcher.way(ends, list(self._number.values()), list(self.queues.values()), plates, main=main)

    def identifies(self, lane: str) -> bool:
        """Whether one kind of identity is read upstream, in any lane, and at this lane downstream."""
        return self.works(lane)[1]

    def works(self, lane: str) -> tuple[bool, bool]:
        """Whether the loop of the lane at the point upstream works, and whether it `identifies`."""
        return self._matcher.works(self.way, self._number[lane])

    def empty(self, lane: str) -> None:
        """All that were seen in the lane upstream have gone, and nobody knows how many came after them unseen."""
        self._matcher.empty(self.way, self._number[lane])
        self._matcher.came_unseen(self.way, self._number[lane], _AFTER_A_GAP)

    def unwatched(self, lane: str, seconds: float, came_n: float) -> None:
        """Nobody looked so long; as many as `came_n` came meanwhile, by what came before."""
        self.queues[lane].unwatched(seconds)
        if came_n > _FEW:
            self._matcher.came_unseen(self.way, self._number[lane], 1.0 / (1.0 + came_n))


def record_of(sighting: Sighting) -> tuple[int, bytes]:
    """Kind and data of a sighting, as `core.Order` takes them."""
    match sighting:
        case LoopCount():
            return core.SEEN_LOOP, b""
        case TagSighting():
            return core.SEEN_TAG, _text(sighting.id)
        case PlateSighting():
            return core.SEEN_PLATE, _text(sighting.id)
        case AxleSighting():
            if len(sighting.positions_m) > core.AXLE_MOST:
                return core.SEEN_AXLES, b""  # no signature
            return core.SEEN_AXLES, array("d", (*sighting.positions_m, *sighting.loads_kg)).tobytes()
        case BoothChange():
            # What tells a line from one of the same moment: booths of one lane may open together.
            what = (sighting.point, sighting.booth, sighting.open, sighting.program)
            return core.SEEN_BOOTH, _text(repr(what))
        case _:
            return core.SEEN_TOKENS, b"".join([tokens.data for tokens in sighting.tokens])


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
