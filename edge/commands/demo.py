"""`borderflow demo`: the whole system on one machine, each part a process of its own as at a crossing.

Simulated hardware (`borderflow-sim serve`) on pseudo-terminals and loopback TCP, a broker, the daemon with its real
drivers, and in this process what a central operator sees, beside the simulator's truth. Exit 0 at Ctrl-C; when the time
of --for is up, 1 if no vehicle or no wait came through.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from edge.commands.demo_broker import Broker, start_broker
from edge.commands.view import CrossingView
from edge.delivery.identity import new_key
from edge.delivery.mqtt import subscribe

_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 10.0


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
        broker = stack.enter_context(start_broker(directory))
        inbox: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        simulator, ready = _start_simulator(args.scenario, directory, inbox, stack)
        config_path = Path(ready["config"])
        _complete_configuration(config_path, broker)
        stack.enter_context(
            subscribe(broker.url, "borderflow/v1/#", lambda topic, message: inbox.put((topic, message)))
        )
        daemon = _start(
            [sys.executable, "-m", "edge", "run", "--config", str(config_path)], directory / "daemon.log", stack
        )
        print(
            f"borderflow demo: {len(ready['devices'])} simulated devices, broker {broker.name}, files in {directory}",
            file=sys.stderr,
        )
        return _show(args.for_s, inbox, {"daemon": daemon, "simulator": simulator}, directory)


def _show(
    for_s: float | None, inbox: queue.Queue[tuple[str, dict[str, Any]]], processes: dict[str, Any], directory: Path
) -> int:
    """The live view until the time is up or Ctrl-C; lines instead of a screen where the output is no terminal."""
    view, console = CrossingView(), Console()
    end = None if for_s is None else time.monotonic() + for_s
    failed = ""
    by_hand = False
    with _screen(view, console) as refresh:
        try:
            while not failed and (end is None or time.monotonic() < end):
                with contextlib.suppress(queue.Empty):
                    topic, message = inbox.get(timeout=0.2)
                    if topic == "truth":
                        _take_truth(view, message)
                    else:
                        view.take(topic, message)
                        if not console.is_terminal:
                            print(view.line(topic, message), flush=True)
                refresh()
                failed = next((name for name, process in processes.items() if process.poll() is not None), "")
        except KeyboardInterrupt:
            by_hand = True
    if failed:
        log = directory / f"{failed}.log"
        print(f"borderflow demo: the {failed} ended by itself; its last words:", file=sys.stderr)
        print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
        return 1
    vehicles, waits = view.counts.get("vehicle", 0), view.counts.get("wait", 0)
    print(f"borderflow demo: {vehicles} vehicles and {waits} waits came through", file=sys.stderr)
    return 0 if by_hand or (vehicles and waits) else 1


@contextlib.contextmanager
def _screen(view: CrossingView, console: Console) -> Iterator[Any]:
    if not console.is_terminal:
        yield lambda: None
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        shown = 0.0

        def refresh() -> None:
            nonlocal shown
            if time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                live.update(view.render(), refresh=True)

        yield refresh


def _take_truth(view: CrossingView, message: dict[str, Any]) -> None:
    if message.get("kind") == "vehicle":
        view.truths.append(message)


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
    scenario: str, directory: Path, inbox: queue.Queue[tuple[str, dict[str, Any]]], stack: contextlib.ExitStack
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
                inbox.put(("truth", message))

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
    """What an installation adds to the description of the crossing: the key it names, and a collector."""
    key = config_path.with_name("identity.key")
    if not key.exists():
        new_key(key)
    with config_path.open("a") as file:
        file.write(
            f'\n[[collector]]\nname = "demo"\nurl = "{broker.url}"\nprotocol = {broker.protocol}\n'
            'share = ["vehicle", "sighting", "wait", "flow", "status", "alarm"]\n'
        )
