"""Each fault has an entry of what alarm it should raise, and the documentation names it."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from firmware_sim import emulators
from firmware_sim.emulators.base import Emulator
from firmware_sim.proof.expected_alarms import EXPECTED
from firmware_sim.wires.faults import WIRE_FAULTS
from firmware_sim.world.crossing import SENSOR_FAULTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"


def kinds_of(emulator: type[Emulator]) -> set[str]:
    return set(emulator.faults).union(*(kinds_of(derived) for derived in emulator.__subclasses__()))


def test_every_fault_has_an_entry() -> None:
    for module in pkgutil.iter_modules(emulators.__path__):
        importlib.import_module(f"firmware_sim.emulators.{module.name}")
    assert EXPECTED.keys() == WIRE_FAULTS | SENSOR_FAULTS | kinds_of(Emulator)


def test_the_documentation_says_what_each_fault_raises() -> None:
    rows = [
        row for row in DOCUMENT.read_text().split("What the daemon makes of a fault")[1].split("\n") if "| `" in row
    ]
    for fault, codes in EXPECTED.items():
        of_it = [row for row in rows if f"`{fault}`" in row.split(" | ")[0]]
        if fault != "unknown_plates":
            assert bool(of_it) is bool(codes), fault
        assert all(any(f"`{code}`" in row for code in EXPECTED[fault]) for row in of_it), (fault, of_it)
