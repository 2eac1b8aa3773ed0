"""`borderflow demo`: the whole system on one machine, each part a process of its own as at a crossing.

Simulated hardware (`borderflow-sim serve`) on pseudo-terminals and loopback TCP, a broker, the daemon with its real
drivers, and in this process what a central operator sees, beside the simulator's truth. Exit 0 at Ctrl-C; when the time
of --for is up, 1 if no vehicle or no wait came through.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from edge.commands.demo_broker import Broker, start_broker
from edge.delivery.identity import new_key
from edge.watch.inbox import TRUTH, Inbox
from edge.watch.listen import subscribe
from edge.watch.show import show
from edge.watch.view import CrossingView

_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 10.0
_ONLINE_WITHIN_S = 8.0
_INTERVAL_S = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", default="fast-and-standard", help="name or file of the simulated crossing")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="end after so long; default: Ctrl-C")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep configuration, journal and logs here")


def run(args: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            directory = args.keep.resolve()
        else:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="borderflow-demo-")))
        inbox = Inbox()
        _say("starting a broker")
        broker = stack.enter_context(start_broker(directory))
        _say(f"starting the simulated hardware of the scenario {args.scenario}")
        simulator, ready = _start_simulator(args.scenario, directory, inbox, stack)
        config_path = Path(ready["config"])
        _complete_configuration(config_path, broker)
        stack.enter_context(subscribe(broker.url, "borderflow/v1/#", inbox.put, inbox.linked))
        stack.callback(inbox.close)  # before the subscription is left: its thread may wait to put something
        _say(f"{len(ready['devices'])} simulated devices, broker {broker.name}, files in {directory}")
        _say("starting the daemon")
        daemon = _start(
            [sys.executable, "-m", "edge", "run", "--config", str(config_path)], directory / "daemon.log", stack
        )
        return _show(args, inbox, {"daemon": daemon, "simulator": simulator}, directory)


def _show(
    args: argparse.Namespace, inbox: Inbox, processes: Mapping[str, subprocess.Popen[bytes]], directory: Path
) -> int:
    """The live view until the time is up or Ctrl-C; lines instead of a screen where the output is no terminal."""
    end = math.inf if args.for_s is None else time.monotonic() + args.for_s
    failed, over = "", False

    def ended() -> bool:
        nonlocal failed, over
        failed = next((name for name, process in processes.items() if process.poll() is not None), "")
        over = bool(failed) or time.monotonic() >= end
        return over

    view = CrossingView()
    with contextlib.suppress(KeyboardInterrupt):
        if sys.stdout.isatty():
            _until_online(inbox, view, ended)
        show(inbox, view, title=f"borderflow demo · {args.scenario}", first="vehicles", ended=ended)
    if failed:
        log = directory / f"{failed}.log"
        print(f"borderflow demo: the {failed} ended by itself; its last words:", file=sys.stderr)
        print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
        return 1
    vehicles, waits = view.counts.get("vehicle", 0), view.counts.get("wait", 0)
    _say(f"{vehicles} vehicles and {waits} waits came through")
    return 0 if not over or (vehicles and waits) else 1


def _until_online(inbox: Inbox, view: CrossingView, ended: Callable[[], bool]) -> None:
    """Wait until the daemon has its devices: before that a screen would have nothing to show."""
    end = time.monotonic() + _ONLINE_WITHIN_S
    while not ended() and time.monotonic() < end:
        inbox.drain(view)
        devices = [device for status in view.statuses.values() for device in status["devices"].values()]
        if devices and all(device["state"] == "online" for device in devices):
            return
        time.sleep(0.1)


def _say(text: str) -> None:
    print(f"borderflow demo: {text}", file=sys.stderr, flush=True)


def _start(
    command: list[str], log: Path, stack: contextlib.ExitStack, *, piped: bool = False
) -> subprocess.Popen[bytes]:
    """Start a part; it is asked to end, then made to, when the stack unwinds."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE if piped else file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start_simulator(
    scenario: str, directory: Path, inbox: Inbox, stack: contextlib.ExitStack
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """The simulated hardware; gives its process and the line that says it is ready. Its truth goes into the inbox."""
    command = [sys.executable, "-m", "firmware_sim.cli", "serve", "--scenario", scenario]
    command += ["--config-out", str(directory / "borderflow.toml")]
    process = _start(command, directory / "simulator.log", stack, piped=True)
    assert process.stdout is not None
    first: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            message = json.loads(line)
            if number == 0:
                first.put(message)
            else:
                inbox.put(TRUTH, message)

    threading.Thread(target=read, daemon=True).start()
    end = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end:
        with contextlib.suppress(queue.Empty):
            return process, first.get(timeout=0.2)
        if process.poll() is not None:
            break
    log = (directory / "simulator.log").read_text(errors="replace")
    raise SystemExit(f"borderflow demo: the simulator did not start; it said:\n{log[-2000:]}")


def _complete_configuration(config_path: Path, broker: Broker) -> None:
    """What an installation adds to the description of the crossing: the key it names, and a collector.

    Intervals of the waits are made short: who looks on for a minute must see some end.
    """
    key = config_path.with_name("identity.key")
    if not key.exists():
        new_key(key)
    config = tomlkit.parse(config_path.read_text())
    config["wait"]["interval_s"] = min(config["wait"]["interval_s"], _INTERVAL_S)
    config_path.write_text(
        f'{tomlkit.dumps(config)}\n[[collector]]\nname = "demo"\nurl = "{broker.url}"\nprotocol = {broker.protocol}\n'
        'share = ["vehicle", "sighting", "wait", "flow", "status", "alarm"]\n'
    )
