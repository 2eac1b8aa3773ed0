"""Who arrives when: an endless stream of vehicles for one lane, in order of time. Called by `driving.py`.

Arrivals are a Poisson process whose rate follows the hour of the local day, thinned from its largest rate, in platoons
where the scenario wants them. Each vehicle draws from a generator of its own (seed, lane, count), so that a change in
one vehicle does not change the others.
"""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np

from firmware_sim.scenario import First, Lane, Scenario
from firmware_sim.scenario.catalogue import MIXES, TYPES
from firmware_sim.world.vehicles import Vehicle, draw

_LETTERS = "ABCDEFGHJKLMNPRSTVWXYZ"
_FLEETS = 8


class Traffic:
    """Arrivals of one lane. `next_s` is when the next vehicle comes (infinity: none any more); `take` draws it."""

    def __init__(self, scenario: Scenario, lane_index: int, seed: int) -> None:
        self._scenario = scenario
        self._lane: Lane = scenario.lane[lane_index]
        self._index = lane_index
        self._seed = seed
        self._rng = np.random.default_rng([seed, lane_index, 1])
        self._count = 0
        self._left_in_platoon = 0
        self._zone = ZoneInfo(scenario.site.timezone)
        mix = self._lane.flow.mix or MIXES[self._lane.traffic]
        self._kinds = sorted(mix)
        weights = np.array([mix[kind] for kind in self._kinds])
        self._shares = np.cumsum(weights / weights.sum())
        self._poisson_s = 0.0
        self.next_s = 0.0
        self._draw_next(0.0)

    def take(self) -> Vehicle:
        """The vehicle that comes at `next_s`; draws when the one after it comes."""
        vehicle = self.standing()
        self._draw_next(self.next_s)
        return vehicle

    def standing(self, first: First | None = None) -> Vehicle:
        """One more vehicle, without an arrival: for those that are in the lane at the start."""
        flow, effects = self._lane.flow, self._scenario.effects
        rng = np.random.default_rng([self._seed, self._index, 2, self._count])
        kind = self._kinds[int(np.searchsorted(self._shares, rng.random()))]
        speed_mps = flow.speed_mps
        if first is not None:
            kind, speed_mps = first.kind or kind, (first.speed_mps, first.speed_mps)
        plate, country = self._plate(rng, TYPES[kind].truck)
        tag = (
            f"{rng.choice(['TCX', 'FST', 'KNG'])} {rng.integers(0, 10**6):06d}"
            if rng.random() < flow.tag_share
            else None
        )
        number = self._count * len(self._scenario.lane) + self._index
        self._count += 1
        return draw(
            rng,
            number=number,
            lane=self._lane.id,
            kind=kind,
            imbalance=effects.imbalance,
            lateral=effects.lateral,
            shaped=effects.footprint_shape,
            speed_mps=speed_mps,
            gap_m=flow.gap_m,
            tag=tag,
            plate=plate,
            country=country,
        )

    def _rate_per_s(self, time_s: float) -> float:
        per_hour = self._lane.flow.per_hour
        if len(per_hour) == 1:
            return per_hour[0] / 3600
        local = (self._scenario.start + timedelta(seconds=time_s)).astimezone(self._zone)
        return per_hour[local.hour] / 3600

    def _draw_next(self, after_s: float) -> None:
        flow = self._lane.flow
        if flow.limit is not None and self._count >= flow.limit:
            self.next_s = float("inf")
            return
        if self._left_in_platoon > 0:
            self._left_in_platoon -= 1
            self.next_s = after_s + flow.min_headway_s
            return
        highest = max(flow.per_hour) / 3600 / max(flow.platoon, 1.0)
        if highest <= 0:
            self.next_s = float("inf")
            return
        time_s = self._poisson_s
        while True:
            time_s += float(self._rng.exponential(1 / highest))
            if self._rng.random() * highest * max(flow.platoon, 1.0) <= self._rate_per_s(time_s):
                break
            if time_s > self._poisson_s + 7 * 86_400:
                time_s = float("inf")
                break
        self._poisson_s = time_s
        self.next_s = max(time_s, after_s + flow.min_headway_s)
        if flow.platoon > 1:
            self._left_in_platoon = int(self._rng.geometric(1 / flow.platoon)) - 1

    def _plate(self, rng: np.random.Generator, truck: bool) -> tuple[str, str]:
        """A plate in the form of Ontario, Michigan or Mexico; trucks of a fleet differ in the last two places."""
        country = self._scenario.site.country
        share = {"CA": (0.7, 0.28, 0.02), "US": (0.25, 0.7, 0.05), "MX": (0.02, 0.28, 0.7)}.get(
            country, (0.5, 0.5, 0.0)
        )
        u = rng.random()
        where = "CAN" if u < share[0] else "USA" if u < share[0] + share[1] else "MEX"
        if truck and rng.random() < self._lane.flow.fleet_share:
            fleet = int(rng.integers(_FLEETS))
            fleet_rng = np.random.default_rng([self._seed, 3, fleet])
            prefix = "".join(_LETTERS[int(fleet_rng.integers(len(_LETTERS)))] for _ in range(2))
            return f"{prefix}{fleet_rng.integers(10, 1000):03d}{rng.integers(0, 100):02d}", where
        letters = [_LETTERS[int(i)] for i in rng.integers(len(_LETTERS), size=4)]
        digits = f"{rng.integers(0, 10**5):05d}"
        if where == "MEX":
            return f"{digits[:2]}{letters[0]}{letters[1]}{digits[2]}{letters[2]}", where
        if truck:
            return f"{letters[0]}{letters[1]}{digits}", where
        return f"{''.join(letters)}{digits[:3]}", where
