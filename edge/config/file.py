"""Reads a configuration file: TOML text in, a checked `Config` out, or every fault with its file, key and remedy.

Called by every command that takes --config. The conversion walks the types of `edge.config`, so that a new key needs
no line here.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
import types
import typing
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import msgspec

from edge.config import Config, ConfigError, Faults, Table
from edge.config.lines import Lines, label
from edge.config.rules import check_config
from edge.config.text import decoded, explained

if TYPE_CHECKING:  # it loads the cryptography, and few commands look at signatures
    from edge.config.signature import Trust

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}?|\{\{[^}]*\}\}")
_LEFT_IN_URL = re.compile(rf"{_PLACEHOLDER.pattern}|\$[A-Z][A-Z0-9_]+|<[^>]*>")


def load(path: Path, *, live: bool = False, sensors: bool = True) -> Config:
    """Read and check a configuration; with `live` also what only the daemon uses: devices, key files, collectors.

    Without `sensors` those of the lanes may be such that nothing can be weighed with them. Raises ConfigError with all
    faults found.
    """
    return _parse(path, _read(path), live=live, sensors=sensors)[0]


def load_trusted(path: Path, trust: Trust | None) -> tuple[Config, int | None, Faults]:
    """As the daemon takes it: with `trust` a good signature comes first.

    Gives the version that was signed too, and the doubts and notes about a configuration that has no faults.
    """
    data = _read(path)
    version = trust.check(path, data) if trust is not None else None
    config, found = _parse(path, data, live=True, sensors=True)
    return config, version, found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}); name an existing file with --config"]) from None


def _parse(path: Path, data: bytes, *, live: bool, sensors: bool) -> tuple[Config, Faults]:
    try:
        text = decoded(data)
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from None
    try:
        table = tomllib.loads(text)
        lines = Lines(text.replace("\r\n", "\n"), table)
    except tomllib.TOMLDecodeError as error:
        line, said = explained(text, error)
        raise ConfigError([f"{path}:{line}: {said}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: holds values within values without end; no configuration needs that"]) from None
    faults = Faults(path, lines.of)
    config = _table(table, Config, "", faults)
    if isinstance(config, Config):
        check_config(config, faults, live=live, sensors=sensors)
    if faults.lines:
        raise ConfigError(faults.all_wrong)
    assert isinstance(config, Config)
    return config, faults


def _table(value: Any, table: type[Table], key: str, faults: Faults) -> Table | None:
    """One table of the file as its type, so far as it can be had: None when a key that it needs is missing or wrong."""
    if not isinstance(value, dict):
        faults.add(key, f"must be a table of {', '.join(table.__struct_fields__)}")
        return None
    hints = typing.get_type_hints(table)
    for name in (name for name in value if name not in hints):
        close = difflib.get_close_matches(name, hints, n=1)
        advice = f"did you mean `{close[0]}`?" if close else f"allowed are {', '.join(table.__struct_fields__)}"
        faults.add(_join(key, name), f"unknown key; {advice}")
    fields: dict[str, Any] = {}
    usable = True
    for field in msgspec.structs.fields(table):
        where = _join(key, field.name)
        found = None
        if field.name in value:
            found = _value(value[field.name], hints[field.name], where, faults)
        elif field.required:
            faults.add(where, f"is missing; give {_allowed(hints[field.name])}")
        if found is not None:
            fields[field.name] = found
        elif field.required:
            usable = False
    return table(**fields) if usable else None


def _value(value: Any, hint: Any, key: str, faults: Faults) -> Any:
    """One value as its type; None, with a fault noted, when it does not fit."""
    options = get_args(hint) if get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    for option in options:
        if isinstance(option, type) and issubclass(option, Table):
            return _table(value, option, key, faults)
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple and args[-1] is Ellipsis and isinstance(args[0], type) and issubclass(args[0], Table):
        if not isinstance(value, list):
            faults.add(key, f"must be an array of tables, written [[{key}]]")
            return ()
        tables = (_table(item, args[0], f"{key}[{label(item, i)}]", faults) for i, item in enumerate(value))
        return tuple(table for table in tables if table is not None)
    try:
        found = msgspec.convert(value, hint)
        if not _sane(found):
            raise msgspec.ValidationError
    except msgspec.ValidationError:
        faults.add(key, f"{value!r} does not fit; give {_allowed(hint)}{_cure(value, hint)}")
        return None
    if left := _placeholder(found, _LEFT_IN_URL if key.endswith("url") else _PLACEHOLDER):
        faults.add(key, f"{left} was not filled in; the file is read as it stands: write the value itself")
    return found


def _cure(value: Any, hint: Any) -> str:
    """What was probably meant by a value of the wrong type."""
    number = hint in (int, float, int | None, float | None)
    if number and isinstance(value, str):
        return ", without quotes or unit, with a point for decimals"
    if hint == tuple[float, float] | None and isinstance(value, list) and len(value) == 4:
        return "; decimals take a point, not a comma: [0.0, 1.75]"
    return ""


def _placeholder(value: Any, pattern: re.Pattern[str]) -> str | None:
    """What somebody's installer ought to have replaced, such as ${HOST}; None where there is none."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((left for item in value if (left := _placeholder(item, pattern)) is not None), None)
    match = pattern.search(value) if isinstance(value, str) else None
    return match[0] if match is not None else None


def _sane(value: Any) -> bool:
    """No infinite number, no nan and no control character in it: TOML has them all, and no key of ours does."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return all(_sane(item) for item in value)
    if isinstance(value, str):
        return not any(unicodedata.category(character) == "Cc" for character in value)
    return not isinstance(value, float) or math.isfinite(value)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _allowed(hint: Any) -> str:
    """What a type admits, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin in (types.UnionType, typing.Union):
        return _allowed(next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        if args[-1] is not Ellipsis:
            return f"an array of {len(args)} numbers"
        inner = args[0]
        return (
            "at least one table"
            if isinstance(inner, type) and issubclass(inner, Table)
            else f"an array of {_allowed(inner)}"
        )
    if origin is dict:
        return "a table of names and values"
    if isinstance(hint, type) and issubclass(hint, Table):
        return f"a table with {', '.join(hint.__struct_fields__)}"
    return {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}.get(
        hint, str(hint)
    )
