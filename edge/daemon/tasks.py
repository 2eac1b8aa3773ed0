"""The parts that run as tasks of their own: devices, collectors, the site exchange. Names of parts in, tasks out.

Called by the daemon, which begins all at its start and some at a reload. A part that ends by itself is a fault of ours
and ends the group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial

from drivers.base import Driver
from drivers.events import Event
from drivers.session import keep_alive
from edge.daemon.parts import EXCHANGE, collector_part
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.exchange.link import SiteExchange

LAST_WORDS_S = 3.0


class Tasks:
    """By the name of the part (edge/daemon/parts.py); `publishers` are those of the configuration that holds."""

    def __init__(self, journal: Journal, hear: Callable[[Event], None]) -> None:
        self._journal, self._hear = journal, hear
        self._running: dict[str, asyncio.Task[None]] = {}
        self.publishers: list[Publisher] = []

    def begin(
        self,
        group: asyncio.TaskGroup,
        parts: Iterable[str],
        drivers: Mapping[str, Driver],
        exchange: SiteExchange | None,
    ) -> None:
        """Those of `parts` that are tasks; `drivers` by their parts."""
        runs: dict[str, Callable[[], Coroutine[None, None, None]]] = {
            name: partial(keep_alive, driver, self._hear) for name, driver in drivers.items()
        }
        runs |= {collector_part(publisher.name): publisher.run for publisher in self.publishers}
        if exchange is not None:
            runs[EXCHANGE] = exchange.run
        for name in parts:
            if name in runs:
                self._running[name] = group.create_task(runs[name](), name=name)

    async def end(self, parts: Iterable[str]) -> None:
        """Publishers deliver what is live first, and their collectors are waited for no more."""
        ending = {name: self._running.pop(name) for name in parts if name in self._running}
        going = [publisher for publisher in self.publishers if collector_part(publisher.name) in ending]
        self.publishers = [publisher for publisher in self.publishers if publisher not in going]
        for name, task in ending.items():
            if not name.startswith(collector_part("")):
                task.cancel()
        await asyncio.gather(*(publisher.stop(LAST_WORDS_S) for publisher in going))
        await asyncio.gather(*ending.values(), return_exceptions=True)
        for publisher in going:
            await asyncio.to_thread(self._journal.let_go, publisher.name)

    def cancel_but_publishers(self) -> list[asyncio.Task[None]]:
        """The daemon ends: devices and the exchange first, so that publishers can carry the last words."""
        delivering = {collector_part(publisher.name) for publisher in self.publishers}
        first = [task for name, task in self._running.items() if name not in delivering]
        for task in first:
            task.cancel()
        return first

    def cancel(self) -> None:
        for task in self._running.values():
            task.cancel()
