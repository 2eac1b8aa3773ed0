"""The regimes of the accuracy sweep: what traffic, road and array are simulated, and what is aimed at.

Read by `sweep.py`. Every regime has all physical effects of the simulator switched on unless it says otherwise: what is
measured is the error against static loads, physics included.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from firmware_sim import scenario as sc
from firmware_sim.scenario import Scenario

FOUR_LINES = (0.0, 1.1, 2.9, 4.1)
LINES = {
    2: (0.0, 1.6),
    3: (0.0, 1.3, 3.1),
    4: FOUR_LINES,
    6: (0.0, 1.1, 2.3, 3.8, 4.9, 6.4),
    8: (0.0, 0.9, 2.1, 3.0, 4.3, 5.2, 6.5, 7.4),
}
MIX = {
    "car": 0.1, "pickup": 0.06, "motorcycle": 0.02, "coach": 0.04, "truck2": 0.14, "truck3": 0.08, "truck4": 0.04,
    "semi_2s2": 0.05, "semi_3s2": 0.27, "semi_3s2_spread": 0.05, "semi_3s3": 0.05, "double_2s12": 0.03, "btrain": 0.04,
    "t3s2r4": 0.02, "heavy12": 0.01,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """Shares of vehicles found and of axle counts right; 95 % limits of gross and axle errors; all in per cent."""

    found: float
    axles: float
    gross: float
    axle: float


@dataclass(frozen=True, slots=True)
class Regime:
    """One row of the table. Without a target it shows how a factor acts."""

    name: str
    flow: sc.Flow
    target: Target | None = None
    lines: int = 4
    loop: bool = False
    tau_s: float = 0.0
    road: sc.Road = field(default_factory=lambda: sc.Road(roughness_m3=SMOOTH_M3))
    electronics: sc.Electronics = field(default_factory=sc.Electronics)
    booth: tuple[sc.Booth, ...] = ()
    faults: tuple[sc.Fault, ...] = ()
    effects: sc.Effects = field(default_factory=sc.Effects)


SMOOTH_M3 = 4e-6  # a repaved approach: a quarter of the mean of class A
ROUGH = sc.Road(roughness_m3=50e-6)  # dynamic variation of about 9 % at 40 km/h


def _flow(speed_mps: tuple[float, float], headway_s: float, **further: object) -> sc.Flow:
    """Vehicles at least `headway_s` apart, and not much more."""
    return sc.Flow(
        per_hour=(4 * 3600 / headway_s,),
        speed_mps=speed_mps,
        mix=MIX,
        min_headway_s=headway_s,
        roll_back_probability=0.0,
        **further,  # type: ignore[arg-type]
    )


FREE = _flow((8.3, 13.9), 7.0)
TAILGATING = _flow((8.3, 13.9), 2.0)
SLOW = _flow((0.9, 6.9), 28.0, wander=sc.Wander(low_mps=0.9, high_mps=6.9, every_s=3.0))
STOPS = _flow((2.0, 5.0), 40.0, stops=sc.Stops(probability=1.0, duration_s=(2.0, 12.0), roll_back_probability=0.08))
QUEUE = _flow((2.0, 5.0), 4.0, gap_m=(0.9, 1.8))
QUEUE_BOOTH = (sc.Booth(service_s=4.0, service_cv=0.5, long_share=0.0),)
BAD = sc.Electronics(
    noise_counts=24.0, hum_counts=25.0, spikes_per_h=400.0, drift_counts_per_min=250.0, baseline_counts=800.0
)


def _broken(kind: str, **options: object) -> tuple[sc.Fault, ...]:
    return (sc.Fault(at_s=0.0, for_s=1e9, kind=kind, device="daq", options=dict(options)),)


TARGETS: tuple[Regime, ...] = (
    Regime("free flow 30-50 km/h, smooth", FREE, Target(100, 99.5, 2, 4)),
    Regime("free flow, rough road", FREE, Target(100, 99.5, 5, 9), road=ROUGH),
    Regime("slow, changing speed, 3-25 km/h", SLOW, Target(100, 99.5, 1.5, 3)),
    Regime("stop and go, stops on a strip", STOPS, Target(100, 99, 4, 7)),
    Regime("queue, gaps 0.9-1.8 m, loop", QUEUE, Target(100, 99, 3, 5), loop=True, booth=QUEUE_BOOTH),
    Regime("two lines, free flow", FREE, Target(100, 99, 4, 7), lines=2),
    Regime("quartz, 2 s, free flow", FREE, Target(100, 99, 2.5, 5), tau_s=2.0),
    Regime("hum, spikes, 4 x noise, drift", FREE, Target(99, 98, 3, 6), electronics=BAD),
)

FACTORS: tuple[Regime, ...] = (
    *(Regime(f"free flow, {n} lines", FREE, lines=n) for n in (2, 3, 6, 8)),
    *(Regime(f"free flow, road class {c}", FREE, road=sc.Road(iso_class=c)) for c in ("A", "B", "C")),  # type: ignore[arg-type]
    *(Regime(f"slow, {n} lines", SLOW, lines=n) for n in (2, 8)),
    Regime("stop and go, rough road", STOPS, road=ROUGH),
    Regime("stop and go, quartz 2 s", STOPS, tau_s=2.0),
    Regime("stop and go, loop", STOPS, loop=True),
    Regime("slow, quartz 2 s", SLOW, tau_s=2.0),
    Regime("free flow, a second apart, no loop", TAILGATING),
    Regime("free flow, a second apart, loop", TAILGATING, loop=True),
    Regime("queue without a loop", QUEUE, booth=QUEUE_BOOTH),
    Regime("free flow, a dead channel", FREE, faults=_broken("dead_channel", channel=3)),
    Regime("free flow, a saturated channel", FREE, faults=_broken("saturated_channel", channel=3)),
    Regime("free flow, a reversed channel", FREE, faults=_broken("reversed_channel", channel=3)),
    Regime("free flow, two swapped channels", FREE, faults=_broken("swapped_channels", channels=[0, 1])),
    Regime("free flow, a noisy channel", FREE, faults=_broken("noisy_channel", channel=2, factor=20.0)),
    Regime("free flow, road without a bow wave", FREE, effects=sc.Effects(bow_wave=False)),
    Regime(
        "free flow, no physical effect",
        FREE,
        effects=sc.Effects(**dict.fromkeys(sc.Effects.__struct_fields__, False)),
    ),
)


def scenario_of(regime: Regime, vehicles: int, seed: int) -> Scenario:
    """A crossing of one lane in which `vehicles` vehicles pass in that regime."""
    layout = sc.Layout(
        lines_x_m=LINES[regime.lines],
        coupling_tau_s=regime.tau_s,
        loop_x_m=2.0 if regime.loop else None,
    )
    lane = sc.Lane(
        id="L",
        cross_fall=0.015,
        wim=sc.Wim(layout=layout, sensor=sc.layout_sensors(layout, 3.5), electronics=regime.electronics),
        flow=msgspec.structs.replace(regime.flow, limit=vehicles),
        booth=regime.booth,
    )
    return Scenario(
        name=regime.name,
        seed=seed,
        site=sc.Site(country="CA", port="0000"),
        point=(
            sc.Point(name="approach", x_m=0.0),
            sc.Point(name="wim", x_m=40.0),
            sc.Point(name="booth", x_m=95.0),
            sc.Point(name="exit", x_m=110.0),
        ),
        lane=(lane,),
        device=(sc.Device(name="daq", kind="labjack_t7", endpoint="tcp", lane="L", point="wim"),),
        road=regime.road,
        effects=regime.effects,
        fault=regime.faults,
    )
