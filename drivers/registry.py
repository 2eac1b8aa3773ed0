"""Finds drivers by name. The configuration names them, `borderflow drivers` lists them.

Every driver, ours included, is an entry point of the group `borderflow.drivers`; a third-party package adds one with

    [project.entry-points."borderflow.drivers"]
    acme_loop = "acme.borderflow_driver:AcmeLoop"

A package that cannot be imported is listed with its error and hinders nobody.
"""

from __future__ import annotations

import difflib
import inspect
import re
import time
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from drivers.base import Clock, Driver
from drivers.urls import UrlError, parse_url

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "borderflow.drivers"
OWN_PACKAGE = "borderflow"
_OPTION = re.compile(r" - at `\$\.(\w+)")
_UNITS = {
    "_hz": "Hz", "_s": "s", "_ms": "ms", "_us": "us", "_v": "V", "_kg": "kg", "_c": "°C", "_m": "m", "_bytes": "bytes",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of `borderflow drivers`. `error` says why a driver cannot be used; else it is empty."""

    name: str
    package: str
    summary: str
    schemes: tuple[str, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a driver. `default` is empty where one must be given; `unit` where there is none."""

    name: str
    type: str
    default: str
    unit: str
    text: str


class OptionError(ValueError):
    """An option does not fit; `option` is its name, empty where that is not known, and `text` what to do."""

    def __init__(self, device: str, name: str, driver: type[Driver], options: dict[str, Any], said: str) -> None:
        allowed = [field.name for field in msgspec.structs.fields(driver.Options)]
        unknown = next((option for option in options if option not in allowed), "")
        at = _OPTION.search(said)
        self.option = unknown or (at[1] if at is not None else said.split(":")[0] if ":" in said else "")
        self.option = self.option if self.option in (unknown, *allowed) else ""
        near = difflib.get_close_matches(unknown, allowed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        self.text = f"{said}; {hint}`borderflow drivers {name}` lists them"
        super().__init__(f"options of {device}: {self.text}")


@cache
def _points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # loading it takes a while, and not every command has devices

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        ours = point.dist is not None and point.dist.name == OWN_PACKAGE
        if ours or point.name not in found:  # our own name cannot be taken over by another package
            found[point.name] = point
    return dict(sorted(found.items()))


def names() -> list[str]:
    """The names of all drivers, sorted."""
    return list(_points())


def find(name: str) -> type[Driver]:
    """The driver class of that name. Raises LookupError with a text that says what there is."""
    point = _points().get(name)
    if point is None:
        near = difflib.get_close_matches(name, _points(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_points())}"
        raise LookupError(f"there is no driver {name!r}; {hint}")
    try:
        driver = point.load()
    except Exception as error:  # a foreign package may fail in any way
        raise LookupError(f"driver {name!r} ({point.value}) cannot be imported: {error}") from error
    if not (inspect.isclass(driver) and issubclass(driver, Driver)):
        raise LookupError(f"driver {name!r} ({point.value}) is no drivers.base.Driver")
    return driver


def catalogue() -> list[Entry]:
    """All drivers for a list, also those that cannot be imported."""
    lines = []
    for name, point in _points().items():
        package = point.dist.name if point.dist is not None else ""
        try:
            driver = find(name)
        except LookupError as error:
            lines.append(Entry(name, package, "", (), str(error)))
        else:
            lines.append(Entry(name, package, driver.summary, driver.schemes))
    return lines


def manual(name: str) -> str:
    """What the driver's file says about the device: protocol, settings, what is unconfirmed. Raises LookupError."""
    driver = find(name)
    return inspect.getdoc(inspect.getmodule(driver)) or inspect.getdoc(driver) or ""


def describe(name: str) -> list[Option]:
    """The options of a driver in the order of its model. Raises LookupError."""
    return [
        Option(field.name, _type_text(field.type), _default_text(field), _unit(field.name), _text(field.type))
        for field in msgspec.structs.fields(find(name).Options)
    ]


def create(name: str, device: str, url: str, options: dict[str, Any], clock: Clock = time.time_ns) -> Driver:
    """A driver for a device of the configuration.

    Raises LookupError (no such driver) or ValueError (the URL or an option does not fit; the text says which).
    """
    driver = find(name)
    check_url(driver, url)
    try:
        typed = msgspec.convert(options, driver.Options)
    except msgspec.ValidationError as error:
        raise OptionError(device, name, driver, options, str(error)) from None
    return driver(device, url, typed, clock)


def check_url(driver: type[Driver], url: str) -> None:
    """Raises ValueError with a text that names what is allowed when the URL does not fit the driver."""
    try:
        parse_url(url, driver.schemes, driver.serial, driver.port)
    except UrlError as error:
        raise ValueError(str(error)) from None


def _text(annotated: Any) -> str:
    return next((arg.description for arg in _metas(annotated) if arg.description), "")


def _metas(annotated: Any) -> list[msgspec.Meta]:
    return [arg for arg in getattr(annotated, "__metadata__", ()) if isinstance(arg, msgspec.Meta)]


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def _default_text(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return ""
    default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return "none" if default is None else msgspec.json.encode(default).decode()


def _type_text(kind: Any) -> str:
    bounds = [
        f"{sign} {value}"
        for meta in _metas(kind)
        for sign, value in ((">", meta.gt), (">=", meta.ge), ("<", meta.lt), ("<=", meta.le))
        if value is not None
    ]
    if hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    return " ".join((_plain_type(kind), *bounds))


def _plain_type(kind: Any) -> str:
    arguments = get_args(kind)
    if hasattr(kind, "__metadata__"):
        return _type_text(kind)
    if not arguments:
        names = {int: "integer", float: "number", str: "text", bool: "true or false", NoneType: "none"}
        return names.get(kind, getattr(kind, "__name__", str(kind)))
    origin = getattr(kind, "__origin__", None)
    if origin is tuple or origin is list:
        return f"list of {_plain_type(arguments[0])}"
    if origin is dict:
        return f"table of {_plain_type(arguments[1])}"
    if all(isinstance(argument, str | int) for argument in arguments):
        return " or ".join(str(argument) for argument in arguments)
    return " or ".join(_plain_type(argument) for argument in arguments if argument is not NoneType)
