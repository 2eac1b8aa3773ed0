"""How fast the journal fills and drains: `python tests/bench/bench_journal.py [--messages N] [--backlog N]`.

Prints one line of JSON for each figure: durable appends a second (one and 100 messages for each fsync), the cost of the
hash chain, drain of a backlog with QoS 1 to mosquitto on loopback beside paho alone publishing the same payloads from
memory and beside `mosquitto_pub -l`, and memory while a large backlog drains. Every publisher runs in a fresh process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mosquitto import Mosquitto
from samples import SITE, flow, sighting, status, vehicle

from edge.config import Collector
from edge.delivery.evidence import Signer, chain_next, new_signing_key
from edge.delivery.journal import Journal
from edge.delivery.publisher import EXPIRY_S, Publisher
from edge.messages import KINDS, Message

SHARE = tuple(KINDS)
COLLECTOR = "national"


def traffic(count: int) -> list[Message]:
    """Three vehicles to three sightings and one flow."""
    makers = (vehicle, sighting, vehicle, sighting, vehicle, sighting, flow)
    return [makers[i % 7](lane=f"C{i % 4}") for i in range(count)]


def filled(directory: Path, count: int) -> Path:
    path = directory / "journal.db"
    journal = Journal(path, 20_000_000_000, time.time_ns)
    journal.register(COLLECTOR, SHARE)
    messages = traffic(7000)
    for start in range(0, count, 1000):
        journal.append(messages[: min(1000, count - start)])
    journal.close()
    return path


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def now_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def report(name: str, **figures: Any) -> None:
    values = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps({"bench": name, **values}), flush=True)


# What runs in processes of their own


def child_drain(path: Path, port: int, protocol: int) -> None:
    """borderflow: journal to broker."""

    async def main() -> dict[str, Any]:
        journal = Journal(path, 20_000_000_000, time.time_ns)
        collector = Collector(name=COLLECTOR, url=f"mqtt://127.0.0.1:{port}", protocol=protocol, share=SHARE)  # type: ignore[arg-type]
        publisher = Publisher(collector, journal, status)
        count = publisher.backlog().messages
        task = asyncio.create_task(publisher.run())
        while publisher.counts.connections == 0:
            await asyncio.sleep(0.001)
        began, cpu, before_mb = time.perf_counter(), time.process_time(), now_mb()
        most_mb = before_mb
        while publisher.backlog().messages:
            await asyncio.sleep(0.02)
            most_mb = max(most_mb, now_mb())
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        await publisher.stop()
        await task
        journal.close()
        return {"messages": count, "s": took, "cpu_s": cpu, "start_mb": before_mb, "most_mb": most_mb}

    print(json.dumps(asyncio.run(main())))


def child_paho(path: Path, port: int, protocol: int, properties: str) -> None:
    """paho alone: everything in memory, publish() in a loop, its own thread, its default window."""
    from paho.mqtt.client import Client, MQTTv5, MQTTv311
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    journal = Journal(path, 20_000_000_000, time.time_ns)
    journal.register(COLLECTOR, SHARE)
    out = []
    while entries := journal.next(COLLECTOR, 1000):
        for e in entries:
            p = None
            if protocol == 5 and properties == "same":
                p = Properties(PacketTypes.PUBLISH)
                p.PayloadFormatIndicator = 1
                p.ContentType = "application/json"
                p.UserProperty = [("schema", e.schema), ("id", e.id)]
                if e.kind in EXPIRY_S:
                    p.MessageExpiryInterval = EXPIRY_S[e.kind]
            out.append((e.topic, e.body, p))
    journal.close()
    client = Client(CallbackAPIVersion.VERSION2, client_id="alone", protocol=MQTTv5 if protocol == 5 else MQTTv311)
    done, connected = threading.Event(), threading.Event()
    left = len(out)

    def on_publish(*rest: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    client.on_connect = lambda *rest: connected.set()
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    connected.wait(5)
    began, cpu = time.perf_counter(), time.process_time()
    for topic, body, p in out:
        client.publish(topic, body, 1, properties=p)
    done.wait()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    client.disconnect()
    client.loop_stop()
    print(json.dumps({"messages": len(out), "s": took, "cpu_s": cpu}))


def in_process(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# Figures


def appends(directory: Path) -> None:
    for batch in (1, 10, 100):
        path = directory / f"append{batch}.db"
        journal = Journal(path, 20_000_000_000, time.time_ns)
        journal.register(COLLECTOR, SHARE)
        messages = traffic(batch)
        calls = max(20, 4000 // batch)
        began = time.perf_counter()
        for _ in range(calls):
            journal.append(messages)
        took = time.perf_counter() - began
        journal.close()
        report("append", messages_each_fsync=batch, per_s=calls * batch / took, ms_each_call=took / calls * 1000)
    body = b"x" * 600
    link = bytes(32)
    began = time.perf_counter()
    for _ in range(100_000):
        link = chain_next(link, body)
    report("hash chain", us_each_message=(time.perf_counter() - began) * 10)
    new_signing_key(directory / "sign.key")
    signer = Signer(directory / "sign.key")
    heads = {f"borderflow/v1/CA/0453/edge-1/C{i:02}/vehicle": ("0" * 16, i, bytes(32)) for i in range(40)}
    began = time.perf_counter()
    for _ in range(200):
        signer.evidence(heads, site=SITE, source="edge-1", time="2026-11-24T05:22:17.123456Z")
    report("signature of 40 heads", us_each=(time.perf_counter() - began) * 5000)


def drain(directory: Path, count: int, rounds: int) -> None:
    filled(directory, count)
    for protocol in (5, 4):
        best: dict[str, float] = {}
        for _ in range(rounds):
            for who in ("borderflow", "paho alone", "paho alone, no properties"):
                if protocol == 4 and who.endswith("properties"):
                    continue
                work = directory / "work"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                for part in directory.glob("journal.db*"):
                    shutil.copy(part, work)
                broker = Mosquitto(work, persistent=False)
                broker.quiet()
                broker.start()
                try:
                    if who == "borderflow":
                        result = in_process("--child-drain", str(work / "journal.db"), str(broker.port), str(protocol))
                    else:
                        kind = "none" if who.endswith("properties") else "same"
                        result = in_process(
                            "--child-paho", str(work / "journal.db"), str(broker.port), str(protocol), kind
                        )
                finally:
                    broker.kill()
                best[who] = max(best.get(who, 0.0), result["messages"] / result["s"])
                report("drain round", who=who, protocol=protocol, per_s=result["messages"] / result["s"], **result)
        report(
            "drain", protocol=protocol, messages=count, **{f"{who} per_s": value for who, value in best.items()},
            share_of_paho=best["borderflow"] / best["paho alone"],
        )  # fmt: skip
    if shutil.which("mosquitto_pub"):
        broker = Mosquitto(directory, persistent=False)
        broker.quiet()
        broker.start()
        lines = directory / "lines"
        journal = Journal(directory / "journal.db", 20_000_000_000, time.time_ns)
        journal.register(COLLECTOR, SHARE)
        with lines.open("wb") as file:
            while entries := journal.next(COLLECTOR, 1000):
                file.writelines(entry.body + b"\n" for entry in entries)
        journal.close()
        began = time.perf_counter()
        with lines.open("rb") as file:
            subprocess.run(
                ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", "borderflow/bench", "-l"],
                stdin=file, check=True,
            )  # fmt: skip
        report("mosquitto_pub -l", messages=count, per_s=count / (time.perf_counter() - began))
        broker.kill()


def backlog(directory: Path, count: int) -> None:
    """Memory while a large backlog drains for half a minute."""
    began = time.perf_counter()
    path = filled(directory, count)
    report("fill", messages=count, s=time.perf_counter() - began, file_mb=path.stat().st_size / 1e6, peak_mb=peak_mb())
    broker = Mosquitto(directory, persistent=False)
    broker.quiet()
    broker.start()
    try:
        report("backlog", **in_process("--child-drain", str(path), str(broker.port), "5"))
    finally:
        broker.kill()


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--child-drain":
        return child_drain(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    if len(sys.argv) > 1 and sys.argv[1] == "--child-paho":
        return child_paho(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000, help="backlog that is drained (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each, the best counts (default %(default)s)")
    parser.add_argument("--backlog", type=int, default=0, help="also measure memory with a backlog of so many")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="borderflow-bench-") as name:
        appends(Path(name))
        drain(Path(name), args.messages, args.rounds)
    if args.backlog:
        with tempfile.TemporaryDirectory(prefix="borderflow-bench-") as name:
            backlog(Path(name), args.backlog)
    return None


if __name__ == "__main__":
    main()
