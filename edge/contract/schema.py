"""JSON Schemas, the AsyncAPI document and docs/messages.md, all made from the types of edge/messages.py.

The schema of the configuration and docs/configuration.md are written with them (edge/contract/configuration.py).

`python -m edge.contract.schema` writes them into edge/schemas and docs; a test fails when they are no longer what the
types say. Everything a reader may meet is described, and unknown keys are allowed, so that a reader of version 1
survives a later version 1.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.alarms.codes import ALARM_CODES
from edge.contract.configuration import config_page, config_schema
from edge.contract.examples import EXAMPLES
from edge.contract.text import COMMON, FLAGS, MEANINGS, unit_of
from edge.exchange.codec import Exchange
from edge.exchange.link import KEPT_NS, topic_of_source
from edge.messages import KINDS, TOPIC_ROOT, ReplayRequest, encode

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_DIR: Final = Path(__file__).parents[1] / "schemas"
_DOCS: Final = Path(__file__).parents[2] / "docs"
_TIMES: Final = ("time", "since", "oldest")

_Json = dict[str, Any]


def json_schema(kind: str) -> _Json:
    """The JSON Schema (2020-12) of a kind of message, complete in itself. KeyError for an unknown kind."""
    main, *parts = (_schemas([KINDS[kind]], "#/$defs/{name}")).items()
    head = {"$schema": DIALECT, "$id": f"urn:borderflow:schema:{kind}:1"}
    return {**head, **main[1], "$defs": dict(parts)}


def asyncapi() -> _Json:
    """The AsyncAPI 3.0 document of all that goes over MQTT, seen from the publishing computer."""
    schemas = _schemas([*KINDS.values(), ReplayRequest], "#/components/schemas/{name}")
    parameters: _Json = {
        "country": {"description": "country of the port, ISO 3166-1 alpha-2"},
        "port": {"description": "the authority's own code of the port of entry"},
        "source": {"description": "the publishing computer: the common name of its client certificate"},
        "lane": {"description": "lane, or _ for the whole crossing"},
    }
    channels: _Json = {}
    operations: _Json = {}
    messages: _Json = {}
    for kind, type_ in KINDS.items():
        messages[kind] = {
            "name": f"borderflow/{kind}/1",
            "title": kind,
            "summary": schemas[type_.__name__]["description"],
            "contentType": "application/json",
            "payload": {"$ref": f"#/components/schemas/{type_.__name__}"},
            "bindings": {"mqtt": {"payloadFormatIndicator": 1, "contentType": "application/json"}},
        }
        of_source = kind == "status"
        lane = "_" if of_source else "{lane}"
        names = ("country", "port", "source") if of_source else ("country", "port", "source", "lane")
        channels[kind] = {
            "address": f"{TOPIC_ROOT}/{{country}}/{{port}}/{{source}}/{lane}/{kind}",
            "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
            "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in names},
        }
        operations[f"publish_{kind}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{kind}"},
            "summary": schemas[type_.__name__]["description"],
            "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
            "bindings": {"mqtt": {"qos": 1, "retain": of_source}},
        }
    messages["replay"] = {
        "name": "replay",
        "title": "replay request",
        "summary": schemas["ReplayRequest"]["description"],
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/ReplayRequest"},
    }
    channels["replay"] = {
        "address": f"{TOPIC_ROOT}/{{country}}/{{port}}/{{source}}/_/replay",
        "description": "The messages come again, unchanged, on their own topic, paced behind live ones.",
        "messages": {"replay": {"$ref": "#/components/messages/replay"}},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in ("country", "port", "source")},
    }
    operations["receive_replay"] = {
        "action": "receive",
        "channel": {"$ref": "#/channels/replay"},
        "summary": "A collector asks again for messages that it misses.",
        "messages": [{"$ref": "#/channels/replay/messages/replay"}],
        "bindings": {"mqtt": {"qos": 1}},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "borderflow",
            "version": "1",
            "description": "Weights, waits and flow of a border crossing, from the computers at its lanes on.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "collector": {
                "host": "{host}:8883",
                "protocol": "mqtts",
                "protocolVersion": "5.0",
                "description": "A collector's broker; MQTT 3.1.1 works too, without the properties of MQTT 5.",
                "variables": {
                    "host": {"description": "name of the collector's broker", "default": "collector.example"}
                },
                "security": [{"type": "X509"}],
                "bindings": {
                    "mqtt": {
                        "lastWill": {
                            "topic": f"{TOPIC_ROOT}/{{country}}/{{port}}/{{source}}/_/status",
                            "qos": 1,
                            "retain": True,
                            "message": "the status message with `online` false",
                        },
                    }
                },
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {"schemas": schemas, "messages": messages, "parameters": parameters},
    }


def messages_page() -> str:
    """docs/messages.md: a table of each kind and of the types inside it."""
    schemas = _schemas(list(KINDS.values()), "{name}")
    kinds = {type_.__name__: kind for kind, type_ in KINDS.items()}
    lines = [
        "# Messages",
        "",
        "Made from edge/messages.py by `python -m edge.contract.schema`; edit the types or edge/contract/text.py, not "
        "this page.",
        "The JSON Schema of each kind and the AsyncAPI document are in edge/schemas.",
        "",
        "Keys marked * are always there. Not known is null or absent, never 0. Unknown keys are to be ignored.",
        "",
        "## Keys of every message",
        "",
        *_rows(schemas["Vehicle"], only=set(COMMON)),
        "",
        "`schema` is `borderflow/`, the kind and `/1`.",
    ]
    for name, schema in schemas.items():
        heading = f"## {kinds[name]}" if name in kinds else f"### {name}"
        own = set(schema["properties"]) - (set(COMMON) if name in kinds else set())
        about = [schema["description"], ""] if "description" in schema else []
        lines += ["", heading, "", *about, *_rows(schema, only=own)]
        if name in kinds:
            lines += ["", "For example:", "", "```json", _example(kinds[name]), "```"]
        if name == "Vehicle":
            flags = [(f"`{flag}`", *meaning) for flag, meaning in FLAGS.items()]
            lines += _table("Flags", ("flag", "meaning", "the weight, and what to do"), flags)
        if name == "Alarm":
            codes = [(f"`{code}`", *meaning) for code, meaning in ALARM_CODES.items()]
            lines += _table("Codes", ("code", "the data while it lasts", "look first at"), codes)
    return "\n".join([*lines, *_site_section()]) + "\n"


def _example(kind: str) -> str:
    return json.dumps(json.loads(encode(EXAMPLES[kind])), indent=1, ensure_ascii=False)


def _table(heading: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [columns, ("---",) * len(columns), *rows]
    return ["", f"### {heading}", "", *("| " + " | ".join(row) + " |" for row in lines)]


def _site_section() -> list[str]:
    """What stays on the site's broker: no collector meets it, so it is in no schema that is shipped."""
    exchange = _schemas([Exchange], "{name}")["Exchange"]
    return [
        "",
        "## On the broker of the site",
        "",
        exchange["description"],
        "",
        f"Topic: `{topic_of_source('{country}', '{port}', '{source}')}`, outside of `borderflow/`; QoS 1, not "
        f"retained, expiry {KEPT_NS // 1_000_000_000} s. No collector and no bridge gets it. What it protects, and "
        "what not: [privacy.md](privacy.md).",
        "",
        *_rows(exchange, only=set(exchange["properties"])),
    ]


def files() -> dict[Path, str]:
    """Every generated file with its text."""
    texts = {SCHEMA_DIR / f"{kind}.json": _dump(json_schema(kind)) for kind in KINDS}
    texts[SCHEMA_DIR / "asyncapi.json"] = _dump(asyncapi())
    texts[_DOCS / "messages.md"] = messages_page()
    texts[SCHEMA_DIR / "configuration.json"] = _dump(config_schema(DIALECT))
    texts[_DOCS / "configuration.md"] = config_page()
    return texts


def _dump(document: _Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _schemas(types: list[Any], template: str) -> dict[str, _Json]:
    """Schemas of the types and of what they hold, by name, the first type first."""
    _, components = msgspec.json.schema_components(types, ref_template=template)
    return {name: _described(name, schema) for name, schema in components.items()}


def _described(name: str, schema: _Json) -> _Json:
    """The schema with what msgspec cannot know: meanings, time formats, that `schema` is always there."""
    common = "schema" in schema["properties"]
    for key, value in schema["properties"].items():
        nullable = _nullable(value)
        value.clear()
        value.update(nullable)
        if key in _TIMES:
            value["format"] = "date-time"
        meaning = MEANINGS.get(name, {}).get(key) or (COMMON.get(key) if common else None)
        if meaning is not None:
            value["description"] = meaning
    if "description" in schema:  # a docstring: Python 3.13 takes its indentation away, 3.11 leaves it
        schema["description"] = inspect.cleandoc(schema["description"])
    schema["required"] = [*(["schema"] if common else []), *schema.get("required", [])]
    return schema


def _nullable(value: _Json) -> _Json:
    """`{"anyOf": [{"type": "number"}, {"type": "null"}]}` in its short form `{"type": ["number", "null"]}`."""
    options = value.get("anyOf", [])
    rest = {key: item for key, item in value.items() if key != "anyOf"}
    if len(options) == 2 and options[1] == {"type": "null"}:
        if set(options[0]) == {"type"}:
            return {"type": [options[0]["type"], "null"], **rest}
        if set(options[0]) == {"enum"}:
            return {"enum": [*options[0]["enum"], None], **rest}
    return dict(value)


def _rows(schema: _Json, only: set[str]) -> list[str]:
    rows = ["| key | type | unit | meaning |", "| --- | --- | --- | --- |"]
    for key, value in schema["properties"].items():
        if key in only:
            star = " *" if key in schema["required"] else ""
            unit = unit_of(key)
            rows.append(f"| `{key}`{star} | {_type_text(value)} | {unit} | {value.get('description', '')} |")
    return rows


def _type_text(value: _Json) -> str:
    if "$ref" in value:
        return str(value["$ref"])
    if "anyOf" in value:
        return " or ".join(_type_text(option) for option in value["anyOf"])
    if "enum" in value:
        return ", ".join("null" if item is None else f"`{item}`" for item in value["enum"])
    if value.get("format") == "date-time":
        return "time or null" if "null" in value["type"] else "time"
    if value["type"] == "array":
        return f"list of {_type_text(value['items']).replace(', ', ' or ')}"
    if value["type"] == "object":
        return f"map to {_type_text(value['additionalProperties'])}"
    return " or ".join(value["type"]) if isinstance(value["type"], list) else str(value["type"])


def main() -> int:
    """Write all generated files; for developers, after a change of the types."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
