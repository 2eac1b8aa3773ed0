"""An independent crossing for the accuracy of waits: a plain event simulation that shares nothing with the estimator.

`Traffic` gives vehicles with their true passing times; `Readers` turn them into sightings with missed, wrong and extra
reads. Lanes have one booth or several; drivers choose among the shorter queues of their program, some change lanes,
dwell at the duty free shop, or leave. Service is a mixture whose mean wanders over the day.
"""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass, field

from edge.waiting.sightings import AxleSighting, BoothChange, LoopCount, PlateSighting, Sighting, TagSighting

DAY_S = 86_400.0
START_NS = 1_780_000_000_000_000_000 // 86_400_000_000_000 * 86_400_000_000_000


@dataclass(slots=True)
class Truck:
    number: int
    t_from: float
    lane_from: int
    lane_to: int
    t_booth: float | None  # None: it left
    plate: str
    tag: str | None
    positions: tuple[float, ...]
    loads: tuple[float, ...]
    dwelt: bool = False


@dataclass(slots=True)
class LaneSpec:
    id: str
    program: str = "standard"
    booths: int = 1
    service_mean_s: float = 65.0
    service_kind: str = "lognormal"  # lognormal | uniform | exponential


@dataclass(slots=True)
class Scenario:
    seed: int = 1
    hours: float = 24.0
    lanes: tuple[LaneSpec, ...] = (
        LaneSpec("C01", service_mean_s=70),
        LaneSpec("C02", service_mean_s=62),
        LaneSpec("C03", service_mean_s=75),
        LaneSpec("C04", program="FAST", service_mean_s=45),
    )
    peak_load: float = 1.35  # arrivals at the peaks over what the booths can do
    free_flow_s: float = 75.0
    free_flow_sd: float = 0.08
    leave: float = 0.01
    dwell: float = 0.02
    change: float = 0.02
    long_service: float = 0.02
    wander: float = 0.1  # deviation of ln of the mean service over the day
    max_queue: int = 60
    closures: bool = False
    fleet_share: float = 0.6


@dataclass(slots=True)
class World:
    scenario: Scenario
    trucks: list[Truck] = field(default_factory=list)
    booth_changes: list[tuple[float, int, bool]] = field(default_factory=list)
    services: dict[int, list[float]] = field(default_factory=dict)

    def cycle_sd_s(self, lane: int) -> float:
        """Deviation of the services that were given in a lane."""
        served = self.services.get(lane, [0.0, 0.0])
        return statistics.stdev(served)

    def truth(self) -> list[Truck]:
        return [truck for truck in self.trucks if truck.t_booth is not None]


def _plates(rng: random.Random, fleet_share: float):
    fleets = [
        (f"{rng.choice('ABCDEFGHJKLMNPRSTUVWXYZ')}{rng.choice('ABCDEFGHJKLMNPRSTUVWXYZ')}{rng.randrange(1000):03d}")
        for _ in range(12)
    ]
    used: set[str] = set()
    while True:
        if rng.random() < fleet_share:
            plate = f"{rng.choice(fleets)}{rng.randrange(100):02d}"
        else:
            letters = "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(3))
            plate = letters + f"{rng.randrange(10_000):04d}"
        if plate in used and len(used) < 1200:
            continue
        used.add(plate)
        yield plate


_TYPES = (  # spacings, typical loads loaded / empty, share
    ((3.9, 1.32, 9.8, 1.25), (5300, 7600, 7500, 7300, 7200), (5000, 3400, 3300, 2300, 2200), 0.72),
    ((5.2,), (5200, 8800), (3200, 3900), 0.1),
    ((4.3, 1.35), (6500, 8200, 8100), (5400, 3600, 3500), 0.08),
    ((3.6, 10.6, 1.3), (5000, 8800, 7400, 7300), (4400, 3900, 2300, 2200), 0.05),
    (
        (4.6, 1.38, 5.9, 1.3, 4.2, 1.3),
        (5500, 7700, 7600, 7800, 7700, 7900, 7800),
        (5200, 3400, 3300, 2600, 2500, 2600, 2500),
        0.05,
    ),
)  # fmt: skip


def _axles(rng: random.Random) -> tuple[tuple[float, ...], tuple[float, ...]]:
    spacings, loaded, empty, _ = rng.choices(_TYPES, [kind[3] for kind in _TYPES])[0]
    fill = rng.random() if rng.random() < 0.75 else 0.0
    positions = [0.0]
    for spacing in spacings:
        positions.append(positions[-1] + spacing * rng.gauss(1.0, 0.035))
    cargo = [low + fill * (high - low) for low, high in zip(empty, loaded, strict=True)]
    return tuple(positions), tuple(load * rng.gauss(1.0, 0.06) for load in cargo)


def simulate(scenario: Scenario) -> World:
    rng = random.Random(scenario.seed)
    lanes = scenario.lanes
    world = World(scenario)
    plates = _plates(rng, scenario.fleet_share)
    phase = [rng.uniform(0, 6.28) for _ in lanes]

    def mean_service(lane: int, t: float) -> float:
        return lanes[lane].service_mean_s * math.exp(scenario.wander * math.sin(2 * math.pi * t / 20_000 + phase[lane]))

    def service(lane: int, t: float) -> float:
        mean = mean_service(lane, t)
        if rng.random() < scenario.long_service:
            return rng.uniform(180, 500)
        kind = lanes[lane].service_kind
        if kind == "uniform":
            return rng.uniform(0.46 * mean, 1.54 * mean)
        if kind == "exponential":
            return 20.0 + rng.expovariate(1.0 / (mean - 20.0))
        return max(15.0, mean * math.exp(rng.gauss(-0.08, 0.4)))

    def demand(t: float) -> float:
        hour = t / 3600.0
        peak = math.exp(-(((hour - 8.5) / 1.6) ** 2)) + 0.95 * math.exp(-(((hour - 16.5) / 1.9) ** 2))
        return 0.18 + (scenario.peak_load - 0.18) * min(1.0, peak)

    free_at = [[0.0] * spec.booths for spec in lanes]
    closed: list[list[tuple[float, float]]] = [[] for _ in lanes]
    if scenario.closures:
        for lane in (0, 1):
            start = rng.uniform(9.5, 10.5) * 3600 + lane * 7 * 3600
            closed[lane].append((start, start + 1500.0))
            world.booth_changes += [(start, lane, False), (start + 1500.0, lane, True)]
    capacity = [spec.booths / (spec.service_mean_s * 1.06) for spec in lanes]
    waiting: list[list[float]] = [[] for _ in lanes]  # booth times of those still between the points
    programs = sorted({spec.program for spec in lanes})
    arrivals: list[tuple[float, str]] = []
    for program in programs:
        total = sum(capacity[i] for i, spec in enumerate(lanes) if spec.program == program)
        t = 0.0
        while t < scenario.hours * 3600:
            t += rng.expovariate(total * scenario.peak_load)
            if rng.random() < demand(t) / scenario.peak_load:
                arrivals.append((t, program))
    arrivals.sort()
    # A truck joins the service order of its lane when it comes to the queue: event by event in the order of that time.
    queue: list[tuple[float, int, Truck]] = []
    last_entry = [-10.0] * len(lanes)
    number = 0
    for t, program in arrivals:
        mine = [i for i, spec in enumerate(lanes) if spec.program == program]
        lengths = {i: sum(1 for b in waiting[i] if b > t) for i in mine}
        lane = min(mine, key=lambda i: lengths[i] / lanes[i].booths + rng.uniform(0, 4))
        if lengths[lane] >= scenario.max_queue:
            continue
        t = max(t, last_entry[lane] + rng.uniform(2.0, 4.0))
        last_entry[lane] = t
        number += 1
        positions, loads = _axles(rng)
        truck = Truck(number, t, lane, lane, None, next(plates), f"E200{rng.randrange(16**12):012X}", positions, loads)
        world.trucks.append(truck)
        if rng.random() < scenario.leave:
            continue
        join = t + scenario.free_flow_s * math.exp(rng.gauss(0, scenario.free_flow_sd))
        if rng.random() < scenario.dwell:
            truck.dwelt = True
            join += rng.uniform(400, 2400)
        if rng.random() < scenario.change and len(mine) > 1:
            truck.lane_to = rng.choice([i for i in mine if i != lane])
        queue.append((join, number, truck))
        waiting[lane].append(max([join, min(free_at[lane])]) + len(waiting[lane]) * 0)
        waiting[lane] = _expected(waiting[lane], lengths[lane], t, lanes[lane], join, mean_service(lane, t))
    queue.sort(key=lambda item: (item[0], item[1]))
    last_in_lane = [-1e9] * len(lanes)
    for join, _, truck in queue:
        lane = truck.lane_to
        booth = min(range(lanes[lane].booths), key=lambda b: free_at[lane][b])
        start = max(join, free_at[lane][booth], last_in_lane[lane] + 1.5)
        for low, high in closed[lane]:
            if low <= start < high:
                start = high + rng.uniform(0, 20)
        last_in_lane[lane] = start
        served = service(lane, start)
        world.services.setdefault(lane, []).append(served)
        free_at[lane][booth] = start + served + rng.uniform(8, 16)
        truck.t_booth = start
    return world


def _expected(waiting: list[float], length: int, t: float, spec: LaneSpec, join: float, mean: float) -> list[float]:
    """Rough booth time of the newest, for drivers who look at the queues."""
    alive = [b for b in waiting[:-1] if b > t]
    cycle = (mean * 1.08 + 12.0) / spec.booths
    alive.append(max(join, (alive[-1] if alive else 0.0) + cycle))
    return alive


_CONFUSE = {"0": "OQ", "O": "0Q", "1": "IL", "I": "1", "8": "BS", "B": "8", "5": "S", "S": "5", "2": "Z", "Z": "2",
            "6": "G", "7": "T", "D": "O", "M": "N", "V": "Y", "U": "V", "3": "8", "4": "A", "9": "8"}  # fmt: skip


def misread(plate: str, rng: random.Random) -> str:
    at = rng.randrange(len(plate))
    what = rng.random()
    if what < 0.1 and len(plate) > 5:
        return plate[:at] + plate[at + 1 :]
    if what < 0.15:
        return plate[:at] + rng.choice("0123456789I1") + plate[at:]
    choices = _CONFUSE.get(plate[at], "")
    if not choices or rng.random() < 0.3:
        choices = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789".replace(plate[at], "")
    return plate[:at] + rng.choice(choices) + plate[at + 1 :]


@dataclass(slots=True)
class Readers:
    """What the sensors of a crossing do; rates are of vehicles."""

    tag_rate: float = 0.0
    tag_read: float = 0.98
    plate_rate: float = 0.0
    plate_error: float = 0.08
    axles: bool = False
    spacing_sd: float = 0.01
    load_sd: float = 0.05
    loops: bool = True
    miscount: float = 0.01
    jitter_s: float = 0.3


def sightings(world: World, readers: Readers, seed: int = 7, *, disorder_s: float = 1.0) -> list[Sighting]:
    """Lines as a site would write them: nearly in order."""
    rng = random.Random(seed)
    lanes = world.scenario.lanes
    out: list[tuple[float, Sighting]] = []

    def add(t: float, make, *rest) -> None:
        when = START_NS + int(t * 1e6) * 1000
        out.append((t + rng.uniform(0, disorder_s), make(when, *rest)))

    def at_point(truck: Truck, t: float, lane: str, point: str, tagged: bool) -> None:
        if readers.loops:
            lost = rng.random()
            if lost >= readers.miscount / 2:
                add(t, LoopCount, lane, point)
            if lost > 1 - readers.miscount / 2:
                add(t + rng.uniform(0.3, 3.0), LoopCount, lane, point)
        if tagged and rng.random() < readers.tag_read:
            add(t + rng.uniform(-1, 1) * readers.jitter_s, TagSighting, lane, point, truck.tag)
        if rng.random() < readers.plate_rate:
            plate = misread(truck.plate, rng) if rng.random() < readers.plate_error else truck.plate
            add(t + rng.uniform(-1, 1) * readers.jitter_s, PlateSighting, lane, point, plate)
        if readers.axles:
            shift = [0.0]
            for a, b in zip(truck.positions, truck.positions[1:], strict=False):
                shift.append(shift[-1] + (b - a) * rng.gauss(1, readers.spacing_sd))
            loads = tuple(load * rng.gauss(1, readers.load_sd) for load in truck.loads)
            add(t, AxleSighting, lane, point, tuple(shift), loads)

    for truck in world.trucks:
        tagged = rng.random() < readers.tag_rate
        at_point(truck, truck.t_from, lanes[truck.lane_from].id, "approach", tagged)
        if truck.t_booth is not None:
            at_point(truck, truck.t_booth, lanes[truck.lane_to].id, "booth", tagged)
    for t, lane, is_open in world.booth_changes:
        add(t, BoothChange, lanes[lane].id, "booth", is_open, None)
    out.sort(key=lambda item: item[0])
    return [sighting for _, sighting in out]
