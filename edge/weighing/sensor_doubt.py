"""What becomes of a vehicle whose sensors made it up: it is told, flagged, and no limit is held against it.

Called by edge/weighing/lane.py. What a channel does is the core's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import UNSET

from edge.core import ChannelHealth
from edge.messages import Vehicle

# Permitted transports carry up to some 15 t an axle; what was ever weighed of overloaded ones stays below twice that.
MOST_AXLE_KG: Final = 40_000.0
MOST_GROSS_KG: Final = 250_000.0
_WEIGHS: Final = ("ok", "reversed")  # a reversed channel is read the right way round


def doubted(vehicle: Vehicle, channels: Callable[[], Iterable[ChannelHealth]]) -> Vehicle:
    """The vehicle as it may be published. `channels` is asked only where limits are exceeded.

    Heavier than anything that drives, or all channels at fault: `sensor_fault`, no violation and no `esal`.
    """
    heaviest_kg = max((axle.load_kg for axle in vehicle.axles), default=0.0)
    made_up = heaviest_kg > MOST_AXLE_KG or (vehicle.gross_kg or 0.0) > MOST_GROSS_KG
    if not made_up and not (vehicle.violations and _all_at_fault(channels())):
        return vehicle
    flags = () if vehicle.flags is UNSET else vehicle.flags
    return msgspec.structs.replace(
        vehicle, flags=tuple(dict.fromkeys((*flags, "sensor_fault"))), violations=(), esal=None
    )


def _all_at_fault(channels: Iterable[ChannelHealth]) -> bool:
    """Whether no channel that weighs is in order."""
    return not any(channel.state in _WEIGHS for channel in channels)
