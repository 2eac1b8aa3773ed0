"""What an authority calls a crossing and its lanes, from a TOML file of the operator; read by `borderflow publish`.

[[station]]
country = "US"
port = "3004"
state = "53"            # FIPS code of the state
id = "018115"           # the authority's station, up to six letters and digits
[station.lane.C01]
direction = 3           # 1 N, 2 NE, 3 E, 4 SE, 5 S, 6 SW, 7 W, 8 NW, 9 N-S or NE-SW combined, 0 E-W or SE-NW combined
lane = 1                # 1 is the outermost lane of a direction
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec


class LaneName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lane as the authority numbers it."""

    direction: int
    lane: int

    def __post_init__(self) -> None:
        if not (0 <= self.direction <= 9 and 0 <= self.lane <= 9):
            raise ValueError("direction and lane are one digit each")


class Station(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A crossing as the authority names it."""

    country: str
    port: str
    state: str
    id: str
    lane: dict[str, LaneName] = {}

    def __post_init__(self) -> None:
        if not (len(self.state) == 2 and self.state.isdigit()):
            raise ValueError("state is the FIPS code of the state, two digits")
        if not (0 < len(self.id) <= 6 and self.id.isascii() and self.id.isalnum()):
            raise ValueError("id has one to six letters and digits")


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    station: tuple[Station, ...] = ()


@dataclass(slots=True)
class Stations:
    """`of` gives the station of a crossing; what the file does not say is numbered, and told in `doubts`."""

    known: dict[tuple[str, str], Station] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Stations:
        """ValueError says what is wrong with the file, and where."""
        try:
            table = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"{path}: {error}") from None
        return cls({(station.country, station.port): station for station in table.station})

    def of(self, country: str, port: str) -> Station:
        found = self.known.get((country, port))
        if found is not None:
            return found
        name = "".join(c for c in port if c.isalnum())[-6:] or "0"
        self.doubts.append(
            f"{country} {port}: no station is given; it is called {name} of state 00: give --stations FILE before "
            "the records are delivered"
        )
        return Station(country=country, port=port, state="00", id=name)

    def lane_of(self, station: Station, lane: str, lanes: list[str], direction: str | None) -> LaneName:
        """The lane's digits; one that is not in the file is the n-th of those that were heard, of direction 9."""
        found = station.lane.get(lane)
        if found is not None:
            return found
        number = min(lanes.index(lane) + 1, 9)
        self.doubts.append(
            f"{station.country} {station.port} lane {lane}: no direction is given ({direction or 'not known'}); it is "
            f"called lane {number} of direction 9"
        )
        return LaneName(direction=9, lane=number)
