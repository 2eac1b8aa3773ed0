"""The shipped schemas: they are what the types say, they accept real messages, and they let unknown keys pass."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import msgspec
import pytest

from edge.alarms import Condition
from edge.alarms.codes import ALARM_CODES
from edge.config import Config
from edge.config.meanings import MEANINGS as CONFIG_MEANINGS
from edge.config.meanings import TABLES
from edge.contract import schema
from edge.contract.examples import EXAMPLES
from edge.contract.text import COMMON, FLAGS, MEANINGS
from edge.delivery.entry import Loss
from edge.messages import KINDS, Flag, Message, ReplayRequest, encode, kind_of, stamped, topic_of

ALL = list(EXAMPLES.values())


def shipped(name: str) -> dict[str, Any]:
    document = json.loads((schema.SCHEMA_DIR / f"{name}.json").read_text())
    assert isinstance(document, dict)
    return document


def validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(shipped(kind), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("path", list(schema.files()), ids=lambda path: path.name)
def test_generated_files_are_what_the_types_say(path: Any) -> None:
    assert path.read_text() == schema.files()[path], "run `python -m edge.contract.schema`"


def test_every_kind_has_an_example_and_the_page_shows_it() -> None:
    assert list(EXAMPLES) == list(KINDS) == [kind_of(example) for example in ALL]
    shown = re.findall(r"```json\n(.*?)\n```", schema.messages_page(), re.DOTALL)
    for kind, text in zip(KINDS, shown, strict=True):
        wire = json.loads(text)
        assert list(validator(kind).iter_errors(wire)) == []
        assert wire["seq"] > 0, "as the journal sent it"
        assert msgspec.convert(wire, KINDS[kind])


@pytest.mark.parametrize("example", ALL, ids=kind_of)
def test_messages_fit_their_schema_with_and_without_what_the_journal_gives(example: Message) -> None:
    check = validator(kind_of(example))
    check.check_schema(check.schema)
    for message in (example, stamped(example, id="0193", epoch="7f", seq=3)):
        wire = json.loads(encode(message))
        assert list(check.iter_errors(wire)) == []
        assert list(check.iter_errors({**wire, "added_later": 1})) == []
        assert msgspec.json.decode(json.dumps({**wire, "added_later": 1}), type=type(example)) == message


@pytest.mark.parametrize("example", ALL, ids=kind_of)
def test_schema_refuses_what_is_no_such_message(example: Message) -> None:
    check = validator(kind_of(example))
    wire = json.loads(encode(example))
    for key in ("schema", "time", "site"):
        assert list(check.iter_errors({k: v for k, v in wire.items() if k != key})), key
    assert list(check.iter_errors({**wire, "schema": "borderflow/other/1"}))
    assert list(check.iter_errors({**wire, "seq": "3"}))


def test_every_key_of_every_type_has_its_meaning() -> None:
    types = [*KINDS.values(), ReplayRequest]
    _, components = msgspec.json.schema_components(types)
    for name, component in components.items():
        own = set(component["properties"]) - (set(COMMON) if "schema" in component["properties"] else set())
        assert own == set(MEANINGS[name]), name


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [ref for value in node.values() for ref in references(value)]
    return [ref for item in node for ref in references(item)] if isinstance(node, list) else []


def test_asyncapi_document_holds_together() -> None:
    document = shipped("asyncapi")
    assert document["asyncapi"] == "3.0.0"
    for ref in references(document):
        node: Any = document
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]
    for name, channel in document["channels"].items():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"]), name
    operations = document["operations"]
    assert all(operation["bindings"]["mqtt"]["qos"] == 1 for operation in operations.values())
    assert [name for name, item in operations.items() if item["bindings"]["mqtt"].get("retain")] == ["publish_status"]
    assert operations["receive_replay"]["action"] == "receive"
    assert document["servers"]["collector"]["bindings"]["mqtt"]["lastWill"]["retain"] is True


@pytest.mark.parametrize("example", ALL, ids=kind_of)
def test_channels_are_the_topics_that_are_published(example: Message) -> None:
    address = shipped("asyncapi")["channels"][kind_of(example)]["address"]
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(address))
    lane = "_" if kind_of(example) == "status" else "C03"
    assert re.fullmatch(pattern, topic_of(msgspec.structs.replace(example, lane=lane)))


def test_an_alarm_has_a_code_with_a_meaning_and_each_meaning_a_code() -> None:
    with pytest.raises(ValueError, match="no_such_thing"):
        Condition("no_such_thing")
    package = Path(schema.__file__).parents[1]
    told = {package / "alarms/codes.py", package / "alarms/texts.py"}
    sources = "".join(p.read_text() for p in package.rglob("*.py") if p not in told)
    made = {f"journal_{cause}" for cause in get_args(get_type_hints(Loss)["cause"])}  # edge/delivery/loss_alarm.py
    assert [code for code in ALARM_CODES if f'"{code}"' not in sources and code not in made] == []
    assert set(FLAGS) == set(get_args(Flag))
    assert "`journal_dropped`" in schema.messages_page()


def test_every_key_of_the_configuration_has_its_meaning_and_its_table_a_heading() -> None:
    _, components = msgspec.json.schema_components([Config])
    assert set(components) - {"Config"} == set(TABLES)
    for name, component in components.items():
        assert set(component["properties"]) == set(CONFIG_MEANINGS[name]), name


def test_the_schema_of_the_configuration_takes_the_example_and_names_what_is_wrong() -> None:
    check = jsonschema.Draft202012Validator(shipped("configuration"))
    check.check_schema(check.schema)
    text = (Path(schema.__file__).parents[2] / "deploy/example.toml").read_text()
    assert list(check.iter_errors(tomllib.loads(text))) == []
    for good, bad in (('traffic = "commercial"', 'traffic = "trucks"'), ("gain_n = 4.0", "gain_kg = 4.0")):
        (error, *_) = check.iter_errors(tomllib.loads(text.replace(good, bad, 1)))
        assert error.absolute_path[0] == "lane"
