"""Keeps one device alive: opens it, watches for silence, opens it again with back-off, and says how it is.

In comes a driver, out come its events through `emit`, together with a `DeviceState` whenever the state changes. The
daemon runs one `keep_alive` task for each device; a device that is dead, silent, babbling or whose driver has a fault
never touches the others.

    CONNECTING ── sign of life ──► ONLINE ── quiet too long ──► SILENT
         └────────── the link cannot be opened, or ends ──────────► DOWN      each leads back to ONLINE

A silent device gets a new session at once (a half-open TCP connection, a stream that a power cycle ended) and stays
SILENT until it speaks.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from drivers.base import DeviceError, Driver, Emit, ProtocolError
from drivers.events import DeviceState, Event, LinkState, Rejected

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0  # a lane loses what passes meanwhile, and trying costs next to nothing
STABLE_AFTER_S = 30.0  # a session that lived this long starts the back-off anew
END_AGAIN_S = 2.0  # a session takes less to close its link in order
_WATCH_S = 0.25
_REJECTED_EVERY_S = 1.0


class _Silent(Exception):
    pass


async def keep_alive(
    driver: Driver,
    emit: Emit,
    *,
    rng: random.Random | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run a driver until cancelled. Never raises anything else, whatever driver or device do.

    `rng` spreads the pauses, so that a crossing that lost power does not reconnect in one beat.
    """
    keeper = _Keeper(driver, emit, monotonic)
    rng = rng if rng is not None else random.Random()
    pause_s = FIRST_PAUSE_S
    keeper.tell(LinkState.CONNECTING, f"{driver.url}: opening")
    while True:
        began_s = monotonic()
        state, text = await keeper.one_session()
        if monotonic() - began_s >= STABLE_AFTER_S:
            pause_s = FIRST_PAUSE_S
        keeper.tell(state, text)
        await sleep(rng.uniform(0.5, 1.0) * pause_s)
        pause_s = min(LONGEST_PAUSE_S, 2.0 * pause_s)


class _Keeper:
    """What is known of one device between its sessions."""

    def __init__(self, driver: Driver, emit: Emit, monotonic: Callable[[], float]) -> None:
        self._driver = driver
        self._emit = emit
        self._monotonic = monotonic
        self._state: tuple[LinkState, str] | None = None
        self._rejected: Counter[str] = Counter()
        self._rejected_since_life = 0
        self._last_flush_s = -math.inf
        self._last_life_s = monotonic()
        self._lived = False  # in this session

    def tell(self, state: LinkState, text: str) -> None:
        """Emit a DeviceState if it says anything new."""
        if (state, text) != self._state:
            self._state = (state, text)
            self._emit(DeviceState(self._driver.name, self._driver.clock(), state, text))

    async def one_session(self) -> tuple[LinkState, str]:
        """Run one session to its end: the state in which it leaves the device."""
        url = self._driver.url
        self._last_life_s = self._monotonic()
        self._lived = False
        try:
            await self._watched(asyncio.ensure_future(self._driver.session(self._event, self._alive)))
        except _Silent:
            return LinkState.SILENT, self._silence()
        except ProtocolError as error:
            self._event(Rejected(self._driver.name, self._driver.clock(), error.reason))
            return LinkState.DOWN, f"{url}: unexpected answer ({error}); is this the right device and driver?"
        except DeviceError as error:
            return LinkState.DOWN, str(error)
        except OSError as error:
            return LinkState.DOWN, f"{url}: {error.strerror or type(error).__name__}; check cable, power and address"
        except Exception as error:
            if isinstance(leaf := _leaf(error), DeviceError | OSError):  # out of a driver's task group
                return LinkState.DOWN, f"{url}: {leaf}"
            where = _where(leaf)  # neither logged nor sent with its message: that may hold a tag or a plate
            log.error("%s: fault in driver %s: %s", self._driver.name, type(self._driver).__name__, where)
            return LinkState.DOWN, f"{url}: fault in the driver itself, please report it: {where}; trying again"
        finally:
            self._flush()
        return LinkState.DOWN, f"{url}: the device ended the session"

    async def _watched(self, session: asyncio.Future[None]) -> None:
        """Wait for the session; end it when the device falls silent or when this task is cancelled."""
        try:
            while not session.done():
                await asyncio.wait((session,), timeout=_WATCH_S)
                now_s = self._monotonic()
                if now_s - self._last_flush_s >= _REJECTED_EVERY_S:
                    self._flush()
                if not session.done() and now_s - self._last_life_s > self._patience_s():
                    raise _Silent
            await session
        finally:
            if not session.done():
                session.add_done_callback(_look_at)
                # Not `await session`: its end must not swallow our own cancellation. And not once: before Python 3.12
                # asyncio.wait_for, which pymodbus awaits its answers with, forgets a cancellation that comes together
                # with the answer (CPython gh-86296), and the session would go on for ever.
                while not session.done():
                    session.cancel()
                    await asyncio.wait((session,), timeout=END_AGAIN_S)

    def _patience_s(self) -> float:
        """How long the device may say nothing: longer while it wakes up."""
        return self._driver.silent_after_s + (0.0 if self._lived else self._driver.deaf_s)

    def _alive(self) -> None:
        self._last_life_s = self._monotonic()
        self._lived = True
        self._rejected_since_life = 0
        if self._state is None or self._state[0] is not LinkState.ONLINE:
            self.tell(LinkState.ONLINE, f"{self._driver.url}: in order")

    def _event(self, event: Event) -> None:
        if isinstance(event, Rejected):
            self._rejected[event.reason] += event.count  # noise comes in thousands; one event a second is enough
            self._rejected_since_life += event.count
        else:
            self._emit(event)

    def _flush(self) -> None:
        self._last_flush_s = self._monotonic()
        for reason, count in sorted(self._rejected.items()):
            self._emit(Rejected(self._driver.name, self._driver.clock(), reason, count))
        self._rejected.clear()

    def _silence(self) -> str:
        quiet = f"{self._driver.url}: no sign of life for {self._driver.silent_after_s:g} s"
        if self._rejected_since_life:
            return f"{quiet}, only bytes that make no sense; check baud rate, parity, wiring and the driver's name"
        return f"{quiet}; check the device's power, its cable and its settings"


def _look_at(session: asyncio.Future[None]) -> None:
    """How a session that was told to end ended is of no interest, but asyncio complains where nobody looks."""
    if not session.cancelled():
        session.exception()


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
