"""The JSON Schema of the configuration and docs/configuration.md, both made from the types of edge/config/__init__.py.

Called by edge/contract/schema.py, which writes them. An editor checks and completes a configuration with the schema;
`borderflow check` does not read it, and knows more: what keys must agree with each other, and what files hold.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from edge.config import Config
from edge.config.meanings import MEANINGS, TABLES
from edge.contract.text import unit_of

_Json = dict[str, Any]
_ID: Final = "urn:borderflow:schema:configuration:1"


def config_schema(dialect: str) -> _Json:
    """The schema of a configuration file, complete in itself."""
    tables = _tables("#/$defs/{name}")
    main = tables.pop("Config")
    return {"$schema": dialect, "$id": _ID, **main, "title": "configuration of borderflow", "$defs": tables}


def config_page() -> str:
    """docs/configuration.md: a table of keys for each table of the file."""
    tables = _tables("{name}")
    lines = [
        "# Configuration",
        "",
        "Made from the types of edge/config by `python -m edge.contract.schema`; edit those, or meanings.py there.",
        "",
        "A TOML file. [deploy/example.toml](../deploy/example.toml) is a whole one; `borderflow check` tells every",
        "fault of yours with its line and remedy. Keys marked * must be given; units stand in names. An editor that",
        "knows JSON Schema for TOML completes and checks a file that begins with `#:schema configuration.json`, with",
        "the path of the schema in edge/schemas.",
    ]
    for name, (head, about) in TABLES.items():
        lines += ["", f"## `{head}`", "", about, "", *_rows(name, tables[name])]
    return "\n".join(lines) + "\n"


def _tables(template: str) -> dict[str, _Json]:
    """Schemas of all tables by the name of their type, with what each key means."""
    _, components = msgspec.json.schema_components([Config], ref_template=template)
    for name, schema in components.items():
        for key, value in schema["properties"].items():
            value["description"] = MEANINGS[name][key]
        if name in TABLES:
            schema["description"] = TABLES[name][1]
    return {name: components[name] for name in ("Config", *TABLES)}


def _rows(name: str, schema: _Json) -> list[str]:
    rows = ["| key | type | unit | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for key, value in schema["properties"].items():
        star = " *" if key in schema.get("required", []) else ""
        cells = (f"`{key}`{star}", _type(value), unit_of(key), _default(value), MEANINGS[name][key])
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _default(value: _Json) -> str:
    """As TOML writes it; empty where there is none, or nothing in it."""
    default = value.get("default")
    return "" if default in (None, "", [], {}) else f"`{json.dumps(default)}`"


def _type(value: _Json) -> str:
    if "anyOf" in value:
        return " or ".join(_type(option) for option in value["anyOf"] if option != {"type": "null"})
    if "$ref" in value:
        return f"table {_link(value['$ref'])}"
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    if value.get("type") == "array":
        if "prefixItems" in value:
            return f"list of {len(value['prefixItems'])} numbers"
        return (
            f"tables {_link(value['items']['$ref'])}"
            if "$ref" in value["items"]
            else f"list of {_type(value['items'])}"
        )
    if value.get("type") == "object":
        inside = value.get("additionalProperties")
        return f"table of {_type(inside)}" if inside else "table"
    plain = str(value.get("type", "any"))
    return {"string": "text", "boolean": "true or false"}.get(plain, plain)


def _link(type_name: str) -> str:
    return f"`{TABLES[type_name][0]}`"
