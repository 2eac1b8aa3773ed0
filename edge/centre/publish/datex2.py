"""One local day as DATEX II: waits as travel times, weighed vehicles as individual vehicle data. XML and JSON.

Names and their order are those of the schemas of DATEX II 3.5 (namespaces roadTrafficData and common); the XML of this
file was validated against them. One tree makes both forms. The JSON follows the mapping of DATEX II's own JSON schemas
of 3.5 (`roaMeasuredDataPublication`, `{"value": …}` for a word of a list, `idG` for an attribute); of the part for
traffic data no JSON schema was to be had, so there the form of `indexG` is by analogy and not confirmed.

A site is a lane, or `_` for the whole crossing. The expected wait is a travel time of type `predictor`, the experienced
one `reconstituted`; where nothing is known a fault says so, and no number. There is no plate and no pseudonym.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

from edge.centre.publish.day import SiteDay, Weighed
from edge.centre.publish.tables import LEAST_COUNT
from edge.messages import parse_utc, utc_text

VERSION = "3.5"
_SPACES = {
    "com": "http://datex2.eu/schema/3/common",
    "d2": "http://datex2.eu/schema/3/d2Payload",
    "roa": "http://datex2.eu/schema/3/roadTrafficData",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_VEHICLES = {"commercial": "heavyGoodsVehicle", "passenger": "car", "bus": "bus"}
_WAIT = (
    "direction", "traffic", "program", "from_point", "to_point", "experienced_count", "experienced_median_s",
    "expected_s",
)  # fmt: skip

Form = Literal["xml", "json"]


@dataclass(frozen=True, slots=True)
class Node:
    """An element `prefix:name`: a value or children; `type` is the concrete type of an abstract one, `word` one of a
    list of words, `many` an element that may come several times."""

    name: str  # with its prefix, `roa:speed`
    value: str | float | int | None = None
    children: tuple[Node, ...] = ()
    type: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    word: bool = False
    many: bool = False


def write(days: Sequence[SiteDay], out: Path) -> Iterator[Path]:
    """Two files a crossing, the same in both forms; gives the paths."""
    for day in days:
        tree = publication(day)
        if not any(child.name == "roa:siteMeasurements" for child in tree.children):
            continue  # a publication without a measurement is none
        name = f"datex2_{day.site.country}_{day.site.port}_{day.day.isoformat()}"
        for form, text in (("xml", xml(tree)), ("json", json_text(tree))):
            path = out / f"{name}.{form}"
            path.write_text(text, encoding="utf-8")
            yield path


def publication(day: SiteDay) -> Node:
    """The whole day of a crossing; its time of publication is the end of the day, the same at each run."""
    site = day.site
    table = {"id": f"{site.country}-{site.port}", "version": "1", "targetClass": "roa:MeasurementSiteTable"}
    creator = (Node("com:country", site.country.lower()), Node("com:nationalIdentifier", site.port))
    children = (
        Node("com:publicationTime", utc_text(day.end_ns)),
        Node("com:publicationCreator", children=creator),
        Node("roa:measurementSiteTableReference", attributes=table, many=True),
        Node("roa:headerInformation", children=(Node("com:informationStatus", "real", word=True),)),
        *_waits(day),
        *(_vehicle(day, vehicle) for vehicle in day.vehicles),
    )
    attributes = {"lang": "en", "modelBaseVersion": "3"}
    return Node("d2:payload", children=children, type="roa:MeasuredDataPublication", attributes=attributes)


# Waits


def _waits(day: SiteDay) -> Iterator[Node]:
    for row in day.rows("wait", _WAIT):
        few = (row["experienced_count"] or 0) < LEAST_COUNT
        experienced_s, at = None if few else row["experienced_median_s"], utc_text(parse_utc(row["time"]))
        quantities = (
            _travel("predictor", row["expected_s"], row["traffic"], at),
            _travel("reconstituted", experienced_s, row["traffic"], at),
        )
        parts = (row["lane"], row["direction"], row["traffic"], row["program"])
        yield _site(day, "-".join(part for part in parts if part), at, quantities)


def _travel(kind: str, seconds: float | None, traffic: str | None, at: str) -> tuple[Node, ...]:
    """A travel time, or the fault that there is none."""
    if seconds is None:
        return (
            Node(
                "roa:physicalQuantityFault",
                children=(
                    Node("com:faultLastUpdateTime", at),
                    Node("roa:physicalQuantityFaultType", "noDataValuesAvailable", word=True),
                ),
                many=True,
            ),
        )
    vehicles = (Node("roa:vehicleType", _VEHICLES[traffic], word=True, many=True),) if traffic in _VEHICLES else ()
    children = (
        Node("roa:travelTimeType", kind, word=True),
        *vehicles,
        Node("roa:travelTime", children=(Node("roa:duration", round(seconds, 1)),)),
    )
    return (Node("roa:basicData", children=children, type="roa:TravelTimeData"),)


# Vehicles


def _vehicle(day: SiteDay, vehicle: Weighed) -> Node:
    at = utc_text(vehicle.time_ns)
    children = [Node("roa:arrivalTime", at)]
    if vehicle.speed_mps is not None:
        children.append(Node("roa:speed", round(vehicle.speed_mps * 3.6, 1)))
    children.append(Node("roa:individualVehicle", children=tuple(_body(vehicle))))
    data = Node("roa:basicData", children=tuple(children), type="roa:IndividualVehicleDataValues")
    return _site(day, vehicle.lane, at, ((data,),))


def _body(vehicle: Weighed) -> Iterator[Node]:
    """Weights in tonnes, spacings in metres, counted from the front from 1."""
    weight = (
        Node("com:comparisonOperator", "equalTo", word=True),
        Node("com:grossVehicleWeight", round(vehicle.gross_kg / 1000, 3)),
        Node("com:typeOfWeight", "actual", word=True),
    )
    count = (
        Node("com:comparisonOperator", "equalTo", word=True),
        Node("com:numberOfAxles", len(vehicle.axles)),
    )
    yield Node(
        "com:vehicleCharacteristics",
        children=(
            Node("com:grossWeightCharacteristic", children=weight, many=True),
            Node("com:numberOfAxlesCharacteristic", children=count, many=True),
        ),
    )
    places_m = [position_m for position_m, _, _ in vehicle.axles]
    for n, (before_m, here_m) in enumerate(pairwise(places_m), 1):
        spacing = (
            Node("com:axleSpacing", round(here_m - before_m, 3)),
            Node("com:axleSpacingSequenceIdentifier", n),
        )
        yield Node("com:axleSpacingOnVehicle", children=spacing, many=True)
    for n, (_, load_kg, _) in enumerate(vehicle.axles, 1):
        axle = (Node("com:axlePositionIdentifier", n), Node("com:axleWeight", round(load_kg / 1000, 3)))
        yield Node("com:specificAxleWeight", children=axle, many=True)


def _site(day: SiteDay, name: str, time: str, quantities: Sequence[tuple[Node, ...]]) -> Node:
    """What was measured at one site at one time."""
    reference = {
        "id": f"{day.site.country}-{day.site.port}-{name}",
        "version": "1",
        "targetClass": "roa:MeasurementSite",
    }
    indexed = (
        Node(
            "roa:physicalQuantity",
            children=(Node("roa:physicalQuantity", children=children, type="roa:SinglePhysicalQuantity"),),
            attributes={"index": str(n)},
            many=True,
        )
        for n, children in enumerate(quantities, 1)
    )
    return Node(
        "roa:siteMeasurements",
        children=(
            Node("roa:measurementSiteReference", attributes=reference),
            *indexed,
            Node("roa:measurementTimeDefault", children=(Node("roa:timeValue", time),)),
        ),
        many=True,
    )


# The two forms


def xml(tree: Node) -> str:
    """As the XML schemas have it."""
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in sorted(_SPACES.items()))
    parts: list[str] = []
    _xml(tree, parts, spaces)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{"".join(parts)}\n'


def _xml(node: Node, parts: list[str], more: str = "") -> None:
    head = " ".join(
        [node.name, *([more] if more else []), *([f'xsi:type="{node.type}"'] if node.type else [])]
        + [f"{name}={quoteattr(_printable(value))}" for name, value in node.attributes.items()]
    )
    if not node.children and node.value is None:
        parts.append(f"<{head}/>")
        return
    parts.append(f"<{head}>")
    if node.value is not None:
        parts.append(escape(_printable(str(node.value))))
    for child in node.children:
        _xml(child, parts)
    parts.append(f"</{node.name}>")


def _printable(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped."""
    return "".join(c if c >= " " or c in "\t\n\r" else "\N{REPLACEMENT CHARACTER}" for c in text)


def json_text(tree: Node) -> str:
    """As the JSON schemas have it."""
    inside = _object(tree)
    inside.pop("modelBaseVersionG")
    whole = {"payload": {"versionG": VERSION, "modelBaseVersionG": "3", _key(tree.type): inside}}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n"


def _object(node: Node) -> dict[str, Any]:
    made: dict[str, Any] = {
        name if name == "lang" else f"{name}G": value
        for name, value in node.attributes.items()
        if name != "targetClass"
    }
    for child in node.children:
        name = child.name.partition(":")[2]
        if child.many:
            made.setdefault(name, []).append(_json(child))
        else:
            made[name] = _json(child)
    return made


def _json(node: Node) -> Any:
    if node.value is not None:
        return {"value": node.value} if node.word else node.value
    inside = _object(node)
    return {_key(node.type): inside} if node.type else inside


def _key(type_: str) -> str:
    """`roaTravelTimeData` of `roa:TravelTimeData`."""
    return type_.replace(":", "")
