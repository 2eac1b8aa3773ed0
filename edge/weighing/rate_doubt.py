"""What becomes of a vehicle that was weighed while samples came at another rate than the configured one.

Speeds, distances and loads are then off by about the share by which the rate is. Called by edge/crossing/; what the
rate is knows edge/health/links.py.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET

from edge.messages import Vehicle

RIGHT: Final = 1e-3  # relative; what a digitiser makes of a rate that it cannot divide is nearer
USABLE: Final = 0.02  # above it a weight is not worth its name: less than the error of a good array at speed


def doubted(vehicle: Vehicle, rate_error: float) -> Vehicle | None:
    """The vehicle as it may be published, or None: it is held back. `rate_error` is relative: 0.5 for half as much
    again as the configuration says.

    A small error is a flag, `sensor_fault`, and no violation is claimed; a large one would be nonsense.
    """
    if abs(rate_error) <= RIGHT:
        return vehicle
    if abs(rate_error) > USABLE:
        return None
    flags = () if vehicle.flags is UNSET else vehicle.flags
    return msgspec.structs.replace(
        vehicle, flags=tuple(dict.fromkeys((*flags, "sensor_fault"))), violations=(), esal=None
    )
