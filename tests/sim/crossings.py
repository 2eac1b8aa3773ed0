"""Small crossings for the tests of the simulator, as scenarios; keys of a table can be replaced."""

from __future__ import annotations

import msgspec

from firmware_sim import scenario as sc
from firmware_sim.scenario import Scenario

POINTS = (
    sc.Point(name="approach", x_m=0.0),
    sc.Point(name="wim", x_m=80.0),
    sc.Point(name="booth", x_m=150.0),
    sc.Point(name="exit", x_m=180.0),
)
SITE = sc.Site(country="CA", port="0453", timezone="America/Toronto")
NO_EFFECTS = sc.Effects(**dict.fromkeys(sc.Effects.__struct_fields__, False))
LAYOUT = sc.Layout(lines_x_m=(0.0, 1.1, 2.9, 4.1), loop_x_m=2.0)


def crossing(
    *,
    flow: sc.Flow | None = None,
    layout: sc.Layout = LAYOUT,
    electronics: sc.Electronics | None = None,
    effects: sc.Effects = NO_EFFECTS,
    booth: tuple[sc.Booth, ...] = (),
    lanes: int = 1,
    **further: object,
) -> Scenario:
    """Lanes L0, L1, ... alike; without booths vehicles drive through."""
    wim = sc.Wim(layout=layout, sensor=sc.layout_sensors(layout, 3.5), electronics=electronics or sc.Electronics())
    lane = sc.Lane(id="L", wim=wim, flow=flow or sc.Flow(per_hour=(200.0,)), booth=booth)
    return Scenario(
        site=SITE,
        point=POINTS,
        lane=tuple(msgspec.structs.replace(lane, id=f"L{i}") for i in range(lanes)),
        effects=effects,
        **further,  # type: ignore[arg-type]
    )
