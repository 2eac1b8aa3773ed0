"""`borderflow init`: makes a first configuration, from flags or from answers on a terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from drivers import registry
from edge.config import ConfigError
from edge.config.file import load_trusted
from edge.delivery.identity import new_key
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_CONFIG
from edge.init import trial
from edge.init.answers import Answers, DeviceAnswer, LaneAnswer, points_of
from edge.init.array import arrays_of
from edge.init.probe import Answer, probe, serial_ports
from edge.init.write import configuration, weighs

Ask = Callable[[str, str], str]
T = TypeVar("T")

_POINTS, _POINTS_UNWEIGHED = "approach 0, wim, booth", "approach 0, booth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("borderflow.toml"), metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--from", dest="devices", action="append", default=[], metavar="DEVICE-URL", nargs="+",
                        help="[DRIVER=]URL[@LANE[/POINT]][;option=value...]; without DRIVER it is found")  # fmt: skip
    parser.add_argument("--country", metavar="CC", help="country of the port, ISO 3166-1 alpha-2")
    parser.add_argument("--port", metavar="CODE", help="the authority's own code of the port of entry")
    parser.add_argument("--name", default="", help="name of the crossing")
    parser.add_argument("--timezone", metavar="ZONE", help="like America/Toronto; default: UTC")
    parser.add_argument("--lane", action="append", default=[], metavar="WORDS", help="C03 commercial FAST inbound")
    parser.add_argument(
        "--array",
        metavar="WORDS",
        help="0 1.2 2.9 4.1 halves loop 2.0x2.0 (metres), or plate 0.8; by lane: C05: 0 1.2 2.9; P11: 0 1.0",
    )
    parser.add_argument(
        "--rate", type=float, default=5000.0, metavar="HZ", help="samples a second; default: %(default)g"
    )
    parser.add_argument(
        "--gain", type=float, default=4.0, metavar="N", help="newtons for one count; default: %(default)g"
    )
    parser.add_argument("--first-channel", type=int, default=0, metavar="N", help="of the digitiser; default: 0")
    parser.add_argument(
        "--points", metavar="WORDS", help=f"default: {_POINTS} with an array, {_POINTS_UNWEIGHED} without"
    )
    parser.add_argument("--collector", metavar="URL", help="mqtts://host:8883 or mqtt://host:1883")
    parser.add_argument(
        "--protocol", type=int, choices=(5, 4), default=5, help="of the collector; default: %(default)s"
    )
    parser.add_argument("--store", default="/var/lib/borderflow", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--trial", type=Path, metavar="DIR", help="make an authority, certificates and an ACL there")
    parser.add_argument("--scan", action="store_true", help="look at every serial line of this computer too")
    parser.add_argument("--force", action="store_true", help="write over FILE")


def run(args: argparse.Namespace) -> int:
    """0 where the file is good; 78 where an answer does not fit, or the file still has faults; 73 where it cannot be
    written."""
    if args.out.exists() and not args.force:
        return _fail(f"{args.out} is there already; give --out FILE, or --force to write over it", EXIT_CANNOT_WRITE)
    asks = sys.stdin.isatty() and not (args.country and args.port and args.lane)
    try:
        if asks:
            _ask_all(args, _ask)
        devices = [DeviceAnswer.of(text) for group in args.devices for text in group]
        answers = _answers(args)
        found = asyncio.run(_find(devices, answers, scan=args.scan))
    except (ValueError, LookupError) as error:
        return _fail(str(error), EXIT_CONFIG)
    except (EOFError, KeyboardInterrupt):
        return _fail("not all was answered; nothing is written", EXIT_CONFIG)
    weighed, meant = sum(weighs(answers, device) for device in found), sum(map(answers.has_array, answers.lanes))
    if weighed < meant:
        _say(f"the array stands in {weighed} of {meant} lanes: one without a digitiser is not weighed")
    if args.timezone is None:
        _say("time zone UTC, by which days count; if it is another: --timezone America/Toronto, or in the file")
    try:
        text = configuration(_with_trial(answers, args), found)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")
        key = Path(answers.key_file)
        if not key.exists():
            new_key(key)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}", EXIT_CANNOT_WRITE)
    return _judge(args.out)


def _judge(path: Path) -> int:
    """What `check` says of it."""
    try:
        _, _, faults = load_trusted(path, None)
    except ConfigError as error:
        for fault in error.faults:
            _say(fault)
        return _fail("the file is written; mend these lines and run `borderflow check`", EXIT_CONFIG)
    for doubt in faults.doubts:
        _say(doubt)
    print(path)
    _say(f"next: borderflow doctor --config {path}; borderflow run --config {path}")
    return 0 if not faults.doubts else EXIT_CONFIG


def _answers(args: argparse.Namespace) -> Answers:
    missing = [name for name in ("country", "port", "lane") if not getattr(args, name)]
    if missing:
        raise ValueError(f"give --{', --'.join(missing)}, or run it on a terminal, where it asks")
    more = {"rate_hz": args.rate, "gain_n": args.gain, "first_channel": args.first_channel}
    arrays = arrays_of(args.array, **more) if args.array else {}
    lanes = tuple(LaneAnswer.of(text) for text in args.lane)
    strange = sorted(set(arrays) - {"", *(lane.id for lane in lanes)})
    if strange:
        raise ValueError(
            f"array of lane {strange[0]!r}: there is no such lane; there are {', '.join(lane.id for lane in lanes)}"
        )
    return Answers(
        country=args.country.upper(), port=args.port, name=args.name, timezone=args.timezone or "UTC",
        lanes=lanes, array=arrays.pop("", None), arrays=arrays,
        points=tuple(points_of(args.points or (_POINTS if args.array else _POINTS_UNWEIGHED))),
        collector=args.collector, protocol=args.protocol, store=args.store,
        key_file=str((args.out.parent / "identity.key").resolve()),
    )  # fmt: skip


def _with_trial(answers: Answers, args: argparse.Namespace) -> Answers:
    if args.trial is None:
        return answers
    files = trial.make(args.trial.resolve(), "lane-1")
    url, folder = answers.collector or "mqtts://localhost:8883", args.trial.resolve()
    own = f"--ca-file {folder}/ca.pem --cert-file {folder}/collector.pem --key-file {folder}/collector.key"
    _say(f"trial: mosquitto -c {folder}/mosquitto.conf\nto look on: borderflow watch {url} {own}")
    return replace(answers, files=files, collector=url)


async def _find(devices: list[DeviceAnswer], answers: Answers, *, scan: bool) -> list[DeviceAnswer]:
    """Each device with its driver; one that does not answer and has none is left out, and said. They are asked at the
    same time, but for those that share a line."""
    known = {device.url for device in devices}
    extra = [DeviceAnswer(url) for url in serial_ports() if scan and url not in known]
    for device in devices:
        if device.driver is not None:
            registry.find(device.driver)
    lines: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def one(device: DeviceAnswer) -> DeviceAnswer | None:
        async with lines[device.url]:
            return await _found(device, answers)

    found = await asyncio.gather(*(one(device) for device in [*devices, *extra]))
    return [device for device in found if device is not None]


async def _found(device: DeviceAnswer, answers: Answers) -> DeviceAnswer | None:
    likely = next(iter(answers.arrays.values()), None) if device.lane is None else None
    answer = await probe(device.url, answers.array_of(device.lane) or likely, device.options, device.driver)
    if answer is None and device.driver is None:
        _say(f"{device.url}: nothing answers that any driver knows; say which it is: DRIVER={device.url}")
        return None
    if answer is None:
        _say(f"{device.url}: {device.driver} gets no answer yet; written all the same")
        answer = Answer(str(device.driver), device.options)
    else:
        _say(f"{device.url}: {answer.driver}")
    return DeviceAnswer(device.url, answer.driver, device.lane, device.point, answer.options)


# On a terminal


def _ask(question: str, usual: str) -> str:
    """EOFError where the terminal is closed."""
    print(f"{question} [{usual}] " if usual else f"{question} ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip() or usual


def _until_good(ask: Ask, question: str, usual: str, take: Callable[[str], T]) -> T:
    """Asks again until `take` makes something of the answer; its ValueError says what is wrong."""
    while True:
        try:
            return take(ask(question, usual))
        except (ValueError, LookupError) as error:
            _say(str(error))


def _ask_all(args: argparse.Namespace, ask: Ask) -> None:
    """Five questions; what a flag said is not asked."""
    if not (args.country and args.port):
        question = "Country, the authority's code of the port and a name, like CA 0453 Windsor:"
        args.country, args.port, name = _until_good(ask, question, "", _site)
        args.name = args.name or name
    if not args.lane:
        question = "Lanes, like C01 commercial standard inbound; C02 commercial FAST:"
        args.lane = _until_good(ask, question, "C01 commercial standard inbound", _lanes)
    if args.array is None:
        question = "Lines of strips in metres, halves or whole, the loop; or plate 0.8; none where nothing is weighed:"
        args.array = _until_good(ask, question, "0 1.2 2.9 4.1 halves", _array)
    if not args.devices:
        lines = ", ".join(serial_ports()) or "none"
        question = f"Devices, [DRIVER=]URL[@LANE/POINT], with spaces between (serial lines here: {lines}):"
        args.devices = [_until_good(ask, question, "", _devices)]
    if args.collector is None:
        args.collector = ask("Collector, like mqtts://broker.example:8883; empty for none:", "") or None


def _site(text: str) -> tuple[str, str, str]:
    country, port, name = (*text.split(maxsplit=2), "", "", "")[:3]
    if len(country) != 2 or not country.isalpha() or not port:
        raise ValueError(f"{text!r}: begin with the country in two letters and the code of the port, like CA 0453")
    return country, port, name


def _lanes(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(";") if part.strip()]
    for part in parts:
        LaneAnswer.of(part)
    return parts


def _array(text: str) -> str:
    if text.lower() == "none":
        return ""
    arrays_of(text)
    return text


def _devices(text: str) -> list[str]:
    for part in text.split():
        driver = DeviceAnswer.of(part).driver
        if driver is not None:
            registry.find(driver)
    return text.split()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(text: str, code: int) -> int:
    _say(f"borderflow init: {text}")
    return code
