"""Which driver a device answers to: addresses in, names of drivers out. Nothing but the drivers' own sessions is tried.

A reader that only speaks when something passes cannot be told from silence: it is asked for. Drivers are tried from the
likeliest one on, each for a moment; one that gets valid data, or an answer to what it asked, has found its device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from drivers import registry
from drivers.events import DeviceState, Event, InputChange, LinkState, Measurement, PlateRead, SampleBlock, TagRead
from drivers.session import keep_alive
from edge.init.array import Array

TRY_S = 3.0
# what usually listens there; the others follow in the order of their names
_USUAL = {
    502: ("labjack_t7", "moxa_e1200", "adam_6000", "laumas_tlb"),
    5084: ("llrp",),
    2947: ("gpsd",),
    2111: ("sick_lms",),
    2112: ("sick_lms",),
    323: ("chrony",),
}
# where several drivers fit: a Moxa answers an ADAM's questions but not the other way round, a digitiser has samples
_FIRST = ("labjack_t7", "dataq_cdc", "moxa_e1200")
_LAST = ("lpr_frame", "scaime_enod4")  # these take much for theirs
_SPEAK_WHEN_SPOKEN_TO_BY_TRAFFIC = frozenset({"lpr_frame"})  # online says only that the link is open
_DATA = (SampleBlock, InputChange, Measurement, TagRead, PlateRead)
_INPUTS = (16, 8, 6, 4, 2, 1)  # of input modules


@dataclass(frozen=True, slots=True)
class Answer:
    """A driver that its device answers to, with the options that made it answer."""

    driver: str
    options: dict[str, Any]


def serial_ports(devices: Path = Path("/dev")) -> list[str]:
    """URLs of the serial lines of this computer, by path where there is one: that name stays with the plug."""
    by_path = sorted((devices / "serial" / "by-path").glob("*"))
    plain = [port for name in ("ttyUSB*", "ttyACM*") for port in sorted(devices.glob(name))]
    return [f"serial://{port}" for port in (by_path or plain)]


async def probe(
    url: str, array: Array | None, options: dict[str, Any], only: str | None = None,
    told: Callable[[str], None] = lambda driver: None,
) -> Answer | None:  # fmt: skip
    """The first driver that the device at `url` answers to; `told` hears of each try."""
    for driver in [only] if only else candidates(url):
        told(driver)
        for guess in _guesses(driver, array):
            wanted = guess | options
            if "inputs" in options and guess.get("inputs") and len(guess["inputs"]) != _INPUTS[0]:
                break  # they were named: there is nothing to guess
            if await _answers(driver, url, wanted):
                return Answer(driver, wanted)
    return None


def candidates(url: str) -> list[str]:
    """Drivers that such an address fits, the likeliest first."""
    fits = []
    for entry in registry.catalogue():
        if entry.error:
            continue
        try:
            registry.check_url(registry.find(entry.name), url)
        except ValueError:
            continue
        fits.append(entry.name)
    try:
        usual = _USUAL.get(urlsplit(url).port or 0, ())
    except ValueError:
        usual = ()
    listens = [name for name in fits if registry.find(name).service and name not in usual]
    return sorted(
        (name for name in fits if name not in listens),
        key=lambda name: (
            usual.index(name) if name in usual else len(usual),
            _FIRST.index(name) if name in _FIRST else len(_FIRST),
            name in _LAST,
            name,
        ),
    )


def _guesses(driver: str, array: Array | None) -> Iterator[dict[str, Any]]:
    """Options with which a driver can be tried."""
    here = array or Array(lines_m=(0.0,))
    if driver in ("labjack_t7", "dataq_cdc"):
        yield {"scan_list": here.scan_list(), "scan_rate_hz": here.rate_hz}
    elif driver in ("moxa_e1200", "adam_6000"):
        for count in _INPUTS:
            yield {"inputs": [f"input{n}" for n in range(count)]}
    else:
        yield {}


async def _answers(driver: str, url: str, options: dict[str, Any]) -> bool:
    try:
        made = registry.create(driver, "probe", url, options)
    except (ValueError, LookupError):
        return False
    verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def take(event: Event) -> None:
        if verdict.done():
            return
        if isinstance(event, _DATA):
            verdict.set_result(True)
        elif isinstance(event, DeviceState) and event.state is LinkState.ONLINE:
            if driver not in _SPEAK_WHEN_SPOKEN_TO_BY_TRAFFIC:
                verdict.set_result(True)
        elif isinstance(event, DeviceState) and event.state is LinkState.DOWN:
            verdict.set_result(False)

    task = asyncio.create_task(keep_alive(made, take))
    try:
        async with asyncio.timeout(TRY_S):
            return await verdict
    except TimeoutError:
        return False
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
