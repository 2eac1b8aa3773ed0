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
from drivers.events import DeviceState, Event, Heard, LinkState, Rejected
from drivers.pace import pause_s
from drivers.remedies import DOWN, GARBAGE, SILENT, connection

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0  # a lane loses what passes meanwhile, and trying costs next to nothing
STABLE_AFTER_S = 30.0  # a session that lived this long starts the back-off anew
END_AGAIN_S = 2.0  # a session takes less to close its link in order
_REJECTED_EVERY_S = 1.0
_LEAST_PAUSE_S = 0.01


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
        await keeper.one_session()
        if monotonic() - began_s >= STABLE_AFTER_S:
            pause_s = FIRST_PAUSE_S
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
        self._signs_of_life = 0  # in this session
        self._doubted = self._heard = False  # something was rejected, and since then something valid came
        self._faults_told: set[str] = set()
        self._connection = connection(type(driver), driver.url)
        self._last_flush_s = -math.inf
        self._last_life_s = monotonic()

    def tell(self, state: LinkState, reason: str, remedy: str = "", what_to_do: str = "") -> None:
        """Emit a DeviceState if it says anything new."""
        text = f"{reason}; {what_to_do}" if what_to_do else reason
        if (state, text) != self._state:
            self._state = (state, text)
            self._emit(DeviceState(self._driver.name, self._driver.clock(), state, text, reason, remedy))

    async def one_session(self) -> None:
        """Run one session to its end, and tell the state in which it leaves the device."""
        url = self._driver.url
        self._last_life_s = self._monotonic()
        self._signs_of_life = 0
        try:
            await self._watched(asyncio.ensure_future(self._driver.session(self._event, self._alive)))
        except _Silent:
            self._tell_silence()
        except ProtocolError as error:
            self._event(Rejected(self._driver.name, self._driver.clock(), error.reason))
            self.tell(LinkState.DOWN, f"{url}: unexpected answer ({error}); is this the right device and driver?")
        except Exception as error:
            self._tell_down(_leaf(error))  # it may come out of a driver's task group
        else:
            self._tell_down(ConnectionError(0, "the device ended the session"))
        finally:
            self._flush()

    def _tell_down(self, error: BaseException) -> None:
        if isinstance(error, DeviceError) and not error.of_link:
            self.tell(LinkState.DOWN, str(error))
        elif isinstance(error, DeviceError | OSError):
            reason = str(error)
            if isinstance(error, OSError):
                reason = f"{self._driver.url}: {error.strerror or type(error).__name__}"
            self.tell(LinkState.DOWN, reason, self._connection, DOWN[self._connection])
        else:
            where = _where(error)  # neither logged nor sent with its message: that may hold a tag or a plate
            if where not in self._faults_told:
                self._faults_told.add(where)
                log.error("%s: fault in driver %s: %s", self._driver.name, type(self._driver).__name__, where)
            text = f"{self._driver.url}: fault in the driver itself, please report it: {where}; trying again"
            self.tell(LinkState.DOWN, text)

    async def _watched(self, session: asyncio.Future[None]) -> None:
        """Wait for the session; end it when the device falls silent or when this task is cancelled."""
        try:
            while not session.done():
                left_s = self._last_life_s + self._patience_s() - self._monotonic()
                look_s = min(pause_s(time.monotonic(), _REJECTED_EVERY_S), max(left_s, _LEAST_PAUSE_S))
                await asyncio.wait((session,), timeout=look_s)
                now_s = self._monotonic()
                if now_s - self._last_flush_s >= 0.9 * _REJECTED_EVERY_S:  # looked at once in that time
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
        return self._driver.silent_after_s + (0.0 if self._signs_of_life else self._driver.deaf_s)

    def _alive(self) -> None:
        self._last_life_s = self._monotonic()
        self._rejected_since_life = 0
        self._signs_of_life += 1
        self._heard = self._heard or self._signs_of_life > 1  # the first may say no more than that the link is open
        if self._state is None or self._state[0] is not LinkState.ONLINE:
            self.tell(LinkState.ONLINE, f"{self._driver.url}: in order")

    def _event(self, event: Event) -> None:
        if isinstance(event, Rejected):
            self._rejected[event.reason] += event.count  # noise comes in thousands; one event a second is enough
            self._rejected_since_life += event.count
            self._doubted, self._heard = True, False
        else:
            self._heard = True
            self._emit(event)

    def _flush(self) -> None:
        self._last_flush_s = self._monotonic()
        for reason, count in sorted(self._rejected.items()):
            self._emit(Rejected(self._driver.name, self._driver.clock(), reason, count))
        self._rejected.clear()
        if self._doubted and self._heard:
            self._doubted = False
            self._emit(Heard(self._driver.name, self._driver.clock()))

    def _tell_silence(self) -> None:
        quiet = f"{self._driver.url}: no sign of life for {self._driver.silent_after_s:g} s"
        if self._rejected_since_life:
            reason, remedy = f"{quiet}, only bytes that make no sense", GARBAGE[self._connection]
            self.tell(LinkState.SILENT, reason, f"garbage_{self._connection}", remedy)
        else:
            self.tell(LinkState.SILENT, quiet, self._connection, SILENT[self._connection])


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
