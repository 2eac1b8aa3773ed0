"""No limit is held against what sensors made up; what is heavy and true keeps its violations."""

from __future__ import annotations

import msgspec
import pytest
from samples import vehicle

from edge.core import ChannelHealth
from edge.messages import Vehicle, Violation
from edge.weighing.sensor_doubt import doubted


def _channels(*states: str) -> list[ChannelHealth]:
    return [ChannelHealth(f"s{i}", i, state, 0.0, 1.5, 9, 0, 0, 0) for i, state in enumerate(states)]


def _heavy(axle_kg: float, axles: int = 2) -> Vehicle:
    over = Violation(rule="gross", limit_kg=20_000.0, value_kg=axle_kg * axles, probability=1.0)
    axle = msgspec.structs.replace(vehicle().axles[0], load_kg=axle_kg)
    return msgspec.structs.replace(
        vehicle(), axles=(axle,) * axles, gross_kg=axle_kg * axles, violations=(over,), esal=3.1, flags=("partial",)
    )


@pytest.mark.parametrize(("axle_kg", "axles"), [(45_000.0, 2), (30_000.0, 12)])
def test_what_no_vehicle_weighs_is_flagged_and_not_accused(axle_kg: float, axles: int) -> None:
    said = doubted(_heavy(axle_kg, axles), lambda: _channels("ok", "ok"))
    assert (said.flags, said.violations, said.esal) == (("partial", "sensor_fault"), (), None)


def test_all_channels_at_fault_accuse_nobody() -> None:
    said = doubted(_heavy(12_000.0), lambda: _channels("saturated", "dead", "noisy", "stuck"))
    assert (said.flags, said.violations, said.esal) == (("partial", "sensor_fault"), (), None)


@pytest.mark.parametrize("states", [("ok", "ok"), ("dead", "ok"), ("reversed", "reversed")])
def test_an_overloaded_lorry_keeps_its_violations(states: tuple[str, ...]) -> None:
    lorry = _heavy(12_000.0)
    assert doubted(lorry, lambda: _channels(*states)) is lorry
