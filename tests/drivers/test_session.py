"""session: states, back-off, silence, faults of a driver, counting of what was rejected; cancellation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from driver_peers import Events, running

from drivers import session
from drivers.base import DeviceError, Driver, Emit, Options, ProtocolError
from drivers.events import DeviceState, Heard, LinkState, Measurement, Rejected
from drivers.links import LinkLost
from drivers.session import LONGEST_PAUSE_S, keep_alive

Script = Callable[[Emit, Callable[[], None]], Awaitable[None]]


class Scripted(Driver):
    """Plays the scripts one after another, the last for ever."""

    def __init__(self, *scripts: Script, silent_after_s: float = 0.4, url: str = "tcp://192.0.2.1:1") -> None:
        super().__init__("dev", url, Options(), clock=lambda: 42)
        self.silent_after_s = silent_after_s
        self.scripts = list(scripts)
        self.sessions = 0
        self.ended = 0

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        self.sessions += 1
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        try:
            await script(emit, alive)
        finally:
            self.ended += 1


async def quiet(emit: Emit, alive: Callable[[], None]) -> None:
    await asyncio.sleep(3600)


async def healthy(emit: Emit, alive: Callable[[], None]) -> None:
    while True:
        alive()
        await asyncio.sleep(0.05)


def failing(error: Exception) -> Script:
    async def script(emit: Emit, alive: Callable[[], None]) -> None:
        raise error

    return script


async def test_online_then_down_then_online() -> None:
    async def short(emit: Emit, alive: Callable[[], None]) -> None:
        alive()
        emit(Measurement("dev", 1, "x", 1.0, "_c"))
        raise DeviceError("tcp://192.0.2.1:1: closed by the device")

    async with running(Scripted(short, healthy)) as events:
        await events.until(lambda: events.states.count(LinkState.ONLINE) == 2)
    assert events.states == [LinkState.CONNECTING, LinkState.ONLINE, LinkState.DOWN, LinkState.ONLINE]
    assert events.of(DeviceState)[2] == DeviceState(
        "dev", 42, LinkState.DOWN, "tcp://192.0.2.1:1: closed by the device",
        reason="tcp://192.0.2.1:1: closed by the device",
    )  # fmt: skip
    assert len(events.of(Measurement)) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(113, "No route to host"), ["tcp://192.0.2.1:1: No route to host; check power, cable"]),
        (ProtocolError("bad_header", "no header"), ["no header", "right device"]),
        (KeyError("ABC123"), ["fault in the driver", "KeyError", "test_session.py"]),
        (ExceptionGroup("two", [DeviceError("gone")]), ["gone"]),
    ],
)
async def test_every_error_is_a_state(error: Exception, words: list[str], caplog: pytest.LogCaptureFixture) -> None:
    async with running(Scripted(failing(error), healthy)) as events:
        await events.until_state(LinkState.ONLINE)
    text = events.of(DeviceState)[1].text
    assert all(word in text for word in words)
    assert "ABC123" not in text + caplog.text, "what a fault holds may be a plate"
    if isinstance(error, ProtocolError):
        assert Rejected("dev", 42, "bad_header") in events


async def test_silence_is_told_and_the_device_is_opened_again() -> None:
    driver = Scripted(quiet, quiet, healthy)
    async with running(driver) as events:
        await events.until_state(LinkState.ONLINE)
    assert events.states == [LinkState.CONNECTING, LinkState.SILENT, LinkState.ONLINE]
    assert "no sign of life for 0.4 s; check the device's power" in events.of(DeviceState)[1].text
    assert driver.ended == driver.sessions == 3


async def test_a_babbling_device_is_silent_with_another_text() -> None:
    async def babble(emit: Emit, alive: Callable[[], None]) -> None:
        for _ in range(1000):
            emit(Rejected("dev", 1, "bad_crc"))
        await asyncio.sleep(3600)

    async with running(Scripted(babble)) as events:
        await events.until_state(LinkState.SILENT)
        assert "sends in the format that its driver expects" in events.of(DeviceState)[-1].text
        assert sum(event.count for event in events.of(Rejected)) == 1000 * 1
        assert len(events.of(Rejected)) <= 2, "a thousand rejects are one event"


@pytest.mark.parametrize(
    ("url", "down", "silent", "garbage"),
    [
        ("serial:///dev/ttyS0", "check its adapter", "its settings", "check baud rate, parity"),
        ("/dev/ttyS0", "check its adapter", "its settings", "check baud rate, parity"),
        ("tcp://192.0.2.1:1", "power, cable and address", "whether it hangs", "format that its driver expects"),
        ("rtu+tcp://192.0.2.1:1", "of the serial server", "the serial server", "baud rate and parity in the serial"),
        ("rfc2217://192.0.2.1:1", "of the serial server", "the serial server", "baud rate and parity in the serial"),
        ("http://0.0.0.0:1/plates", "this computer listens", "to which it posts", "posts in the format"),
    ],
)
async def test_what_to_do_suits_how_the_device_is_connected(url: str, down: str, silent: str, garbage: str) -> None:
    async def babble(emit: Emit, alive: Callable[[], None]) -> None:
        emit(Rejected("dev", 1, "bad_crc"))
        await asyncio.sleep(3600)

    for script, words in (
        (failing(LinkLost(f"{url}: closed by the device")), down),
        (quiet, silent),
        (babble, garbage),
    ):
        async with running(Scripted(script, silent_after_s=0.05, url=url)) as events:
            await events.until(lambda: len(events.of(DeviceState)) > 1)
        text = events.of(DeviceState)[1].text
        assert words in text
        assert ("baud" in text) == ("baud" in words)  # a camera has no baud rate


async def test_what_is_valid_after_a_reject_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection alone is nothing valid: the first sign of life may say no more than that the link is open."""
    monkeypatch.setattr(session, "_REJECTED_EVERY_S", 0.01)
    valid = asyncio.Event()

    async def opened_and_bad(emit: Emit, alive: Callable[[], None]) -> None:
        alive()
        emit(Rejected("dev", 1, "bad_crc"))
        raise DeviceError("ended")

    async def opened_and_quiet(emit: Emit, alive: Callable[[], None]) -> None:
        alive()
        await valid.wait()
        for _ in range(100):
            alive()
            await asyncio.sleep(0.001)
        await asyncio.sleep(3600)

    async with running(Scripted(opened_and_bad, opened_and_quiet, silent_after_s=3600.0)) as events:
        await events.until(lambda: events.states.count(LinkState.ONLINE) == 2)
        await asyncio.sleep(0.05)
        assert not events.of(Heard)
        valid.set()
        await events.until(lambda: bool(events.of(Heard)))
        await asyncio.sleep(0.05)
    assert len(events.of(Heard)) == 1


async def test_a_device_that_rejects_nothing_says_nothing_of_it() -> None:
    async with running(Scripted(healthy)) as events:
        await asyncio.sleep(0.2)
    assert not events.of(Heard)


async def test_a_fault_of_a_driver_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def no_sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    driver = Scripted(failing(RuntimeError("x")))
    task = asyncio.create_task(keep_alive(driver, Events(), sleep=no_sleep))
    async with asyncio.timeout(10):
        while driver.sessions < 20:
            await asyncio.sleep(0)
    task.cancel()
    assert len(caplog.records) == 1


async def test_ending_of_its_own_accord_is_down() -> None:
    async def nothing(emit: Emit, alive: Callable[[], None]) -> None:
        return

    async with running(Scripted(nothing)) as events:
        await events.until_state(LinkState.DOWN)


async def test_the_same_failure_is_told_once() -> None:
    async def no_sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    events = Events()
    driver = Scripted(failing(DeviceError("no")))
    task = asyncio.create_task(keep_alive(driver, events, sleep=no_sleep))
    async with asyncio.timeout(10):
        while driver.sessions < 50:
            await asyncio.sleep(0)
    task.cancel()
    assert events.states == [LinkState.CONNECTING, LinkState.DOWN]


async def test_back_off_grows_is_bounded_and_repeatable() -> None:
    async def pauses(seed: int) -> list[float]:
        seen: list[float] = []

        async def sleep(seconds: float) -> None:
            seen.append(seconds)
            if len(seen) == 10:
                raise asyncio.CancelledError

        driver = Scripted(failing(DeviceError("no")))
        with pytest.raises(asyncio.CancelledError):
            await keep_alive(driver, Events(), rng=random.Random(seed), sleep=sleep, monotonic=lambda: 0.0)
        return seen

    first = await pauses(1)
    assert first == await pauses(1)
    assert first != await pauses(2)
    assert 0.25 <= first[0] <= 0.5
    assert all(LONGEST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S for pause in first[5:])


async def test_back_off_starts_anew_after_a_stable_session() -> None:
    now_s = 0.0
    seen: list[float] = []

    async def long(emit: Emit, alive: Callable[[], None]) -> None:
        nonlocal now_s
        alive()
        if len(seen) == 5:
            now_s += 60.0
        raise DeviceError("ended")

    async def sleep(seconds: float) -> None:
        seen.append(seconds)
        if len(seen) == 7:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_alive(Scripted(long), Events(), rng=random.Random(1), sleep=sleep, monotonic=lambda: now_s)
    assert seen[4] > 2.0
    assert seen[5] <= 0.5


async def test_cancellation_ends_the_session_first() -> None:
    driver = Scripted(healthy)
    async with running(driver) as events:
        await events.until_state(LinkState.ONLINE)
    assert driver.ended == 1


async def test_a_session_that_does_not_want_to_end_is_waited_for() -> None:
    released = asyncio.Event()

    async def stubborn(emit: Emit, alive: Callable[[], None]) -> None:
        alive()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.05)
            released.set()

    async with running(Scripted(stubborn)) as events:
        await events.until_state(LinkState.ONLINE)
    assert released.is_set()


async def test_a_cancellation_that_got_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "END_AGAIN_S", 0.05)

    async def forgetful(emit: Emit, alive: Callable[[], None]) -> None:
        alive()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    driver = Scripted(forgetful)
    async with running(driver) as events:
        await events.until(lambda: driver.sessions == 2)  # fell silent, was ended and opened again
    assert driver.ended == 2
    assert LinkState.SILENT in events.states


async def test_one_dead_device_stops_nobody_else() -> None:
    async with running(Scripted(failing(RuntimeError("x")))) as bad, running(Scripted(healthy)) as good:
        await bad.until_state(LinkState.DOWN)
        await good.until_state(LinkState.ONLINE)


async def test_cancellation_while_a_silent_session_ends_is_not_lost() -> None:
    ending = asyncio.Event()

    async def slow_to_end(emit: Emit, alive: Callable[[], None]) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ending.set()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(keep_alive(Scripted(slow_to_end, silent_after_s=0.1), Events()))
    await ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
