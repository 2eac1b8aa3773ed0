"""DATEX II: both forms say the same, unknown is a fault and no number, and nothing identifies a vehicle.

Where the XML schemas of DATEX II 3.5 lie on this machine (BORDERFLOW_DATEX2_XSD names their folder) and lxml is
installed, the XML is validated against them; they are not ours to ship.
"""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import lane_messages as messages
import msgspec
import pytest

from edge.centre.arrival import Row, read
from edge.centre.publish.datex2 import Node, json_text, xml
from edge.centre.sqlite_store import SqliteStore
from edge.cli import main
from edge.messages import Experienced, Identity, Message, topic_of, utc_text

DAY_NS = 1_790_035_200 * 1_000_000_000  # 2026-09-22T00:00Z
ROA, COM = "{http://datex2.eu/schema/3/roadTrafficData}", "{http://datex2.eu/schema/3/common}"
PSEUDONYM = "5e0f" * 8
XSD = os.environ.get("BORDERFLOW_DATEX2_XSD")


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path]:
    """The XML and the JSON of a day with two waits, the second one unknown, and a vehicle."""
    seen = (Identity(medium="rfid", pseudonym=PSEUDONYM),)
    many = Experienced(count=9, median_s=700.0, p10_s=1.0, p90_s=1.0, p95_s=1.0)
    made: list[Message] = [
        msgspec.structs.replace(messages.vehicle(0), time=utc_text(DAY_NS + 10**10), identities=seen),
        msgspec.structs.replace(messages.wait(0), lane="_", time=utc_text(DAY_NS + 6 * 10**10), experienced=many),
        msgspec.structs.replace(messages.wait(1), lane="_", time=utc_text(DAY_NS + 12 * 10**10), expected_s=None),
    ]
    store, numbers = SqliteStore(tmp_path / "c.db"), dict[str, int]()
    for message in made:
        seq = numbers[topic_of(message)] = numbers.get(topic_of(message), 0) + 1
        row = read(*messages.sent(message, seq), DAY_NS + 10**18)
        assert isinstance(row, Row)
        store.write([row], [], utc_text(DAY_NS))
    store.close()
    args = [
        "publish",
        str(tmp_path / "c.db"),
        "--day",
        "2026-09-22",
        "--format",
        "datex2",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(args) == 0
    name = "datex2_CA_0453_2026-09-22"
    return tmp_path / "o" / f"{name}.xml", tmp_path / "o" / f"{name}.json"


def test_waits_are_travel_times_and_what_is_unknown_is_a_fault(published: tuple[Path, Path]) -> None:
    tree = ElementTree.parse(published[0])
    types = [node.text for node in tree.iter(f"{ROA}travelTimeType")]
    assert list(zip(types, (node.text for node in tree.iter(f"{ROA}duration")), strict=True)) == [
        ("predictor", "600.0"),
        ("reconstituted", "700.0"),
    ]
    assert [node.text for node in tree.iter(f"{ROA}physicalQuantityFaultType")] == ["noDataValuesAvailable"] * 2


def test_a_vehicle_has_its_axles_and_no_name(published: tuple[Path, Path]) -> None:
    tree = ElementTree.parse(published[0])
    assert [float(node.text or "") for node in tree.iter(f"{COM}axleWeight")] == [5.2, 7.9, 7.8]
    assert [float(node.text or "") for node in tree.iter(f"{COM}axleSpacing")] == [3.8, 1.3]
    assert [node.text for node in tree.iter(f"{COM}grossVehicleWeight")] == ["20.9"]
    assert [node.text for node in tree.iter(f"{ROA}speed")] == ["30.6"]
    for path in published:
        assert PSEUDONYM not in path.read_text()


def test_both_forms_say_the_same(published: tuple[Path, Path]) -> None:
    payload = json.loads(published[1].read_text())["payload"]
    assert (payload["versionG"], payload["modelBaseVersionG"]) == ("3.5", "3")
    said = payload["roaMeasuredDataPublication"]
    assert said["headerInformation"]["informationStatus"] == {"value": "real"}
    (wait,) = (
        m for m in said["siteMeasurements"] if m["measurementTimeDefault"]["timeValue"].endswith("00:01:00.000000Z")
    )
    quantity = wait["physicalQuantity"][0]["physicalQuantity"]["roaSinglePhysicalQuantity"]["basicData"]
    assert quantity["roaTravelTimeData"]["travelTime"] == {"duration": 600.0}
    assert len(said["siteMeasurements"]) == len(list(ElementTree.parse(published[0]).iter(f"{ROA}siteMeasurements")))


@pytest.mark.skipif(XSD is None, reason="BORDERFLOW_DATEX2_XSD does not name the schemas")
def test_the_schemas_of_datex2_take_it(published: tuple[Path, Path]) -> None:
    etree = pytest.importorskip("lxml.etree")
    schema = etree.XMLSchema(etree.parse(f"{XSD}/DATEXII_3_D2Payload.xsd"))
    schema.assertValid(etree.parse(str(published[0])))


def test_hostile_text_stays_text() -> None:
    node = Node("d2:payload", children=(Node("com:country", '</x>&"\x01]]>'),), attributes={"lang": '"><script>'})
    parsed = ElementTree.fromstring(xml(node))
    assert parsed.attrib["lang"] == '"><script>'
    assert parsed[0].text == '</x>&"\N{REPLACEMENT CHARACTER}]]>'
    typed = Node("d2:payload", children=node.children, type="roa:X", attributes={"modelBaseVersion": "3"})
    assert json.loads(json_text(typed))["payload"]["roaX"] == {"country": '</x>&"\x01]]>'}
