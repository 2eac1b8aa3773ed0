"""`borderflow publish DATABASE --day DATE --format FORMAT --out DIR`: one local day, as authorities publish it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

from edge.centre.database import reading_of
from edge.centre.gap_table import Execute
from edge.centre.local_day import zone_of
from edge.centre.publish import csv_files, datex2, tmg
from edge.centre.publish.day import Site, SiteDay
from edge.centre.publish.stations import Stations
from edge.centre.store import StoreError
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_DATA


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "database", metavar="DATABASE", help="what `borderflow collect` writes: FILE.db or postgresql://…"
    )
    parser.add_argument("--day", required=True, type=_day, metavar="DATE", help="local day, 2026-11-27")
    parser.add_argument("--format", required=True, choices=sorted(_FORMATS), help="shape of the files")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for the files; made where needed"
    )
    parser.add_argument("--country", metavar="CC", help="only the crossings of this country")
    parser.add_argument("--port", metavar="CODE", help="only this port of entry")
    parser.add_argument("--timezone", metavar="ZONE", help="of all crossings; default: what each says of itself")
    parser.add_argument("--stations", type=Path, metavar="FILE", help="tmg: the authority's stations and lanes (TOML)")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it like 2026-11-27") from None


def run(args: argparse.Namespace) -> int:
    """0; 65 where the day has no data at all, 73 where the database or the folder cannot be used."""
    try:
        with reading_of(args.database) as read:
            now_ns = time.time_ns()
            days = [SiteDay(read, site, args.day, until_ns=now_ns) for site in _sites(read, args)]
            days = [day for day in days if not day.is_empty]
            for day in days:
                if day.end_ns > now_ns:
                    early = f"{day.site.country} {day.site.port}: {args.day} is not over there; publish it again"
                    print(f"borderflow publish: {early}", file=sys.stderr)
            if not days:
                print(f"borderflow publish: {args.database}: holds nothing of {args.day}", file=sys.stderr)
                return EXIT_DATA
            args.out.mkdir(parents=True, exist_ok=True)
            for path in _FORMATS[args.format](days, args):
                print(path)
    except StoreError as error:
        print(f"borderflow publish: {error}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    except OSError as error:
        print(f"borderflow publish: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    except ValueError as error:
        print(f"borderflow publish: {error}", file=sys.stderr)
        return 2
    return 0


def _sites(read: Execute, args: argparse.Namespace) -> list[Site]:
    """The crossings of the database, in order; one whose zone nobody said has days of UTC."""
    told = {(country, port): (zone, name) for country, port, zone, name in read("SELECT * FROM site", ())}
    for (topic,) in read("SELECT DISTINCT topic FROM span", ()):
        country, port = topic.split("/")[2:4]
        told.setdefault((country, port), ("UTC", ""))
    return [
        Site(country, port, name, zone_of(args.timezone or zone))
        for (country, port), (zone, name) in sorted(told.items())
        if args.country in (None, country) and args.port in (None, port)
    ]


def _tmg(days: list[SiteDay], args: argparse.Namespace) -> list[Path]:
    stations = Stations() if args.stations is None else Stations.read(args.stations)
    left_out: Counter[str] = Counter()
    written = []
    for day in days:
        station = stations.of(day.site.country, day.site.port)
        path = args.out / tmg.file_name(station, day)
        with path.open("w", encoding="ascii", newline="\r\n") as file:
            for line in tmg.lines(day, stations, station, left_out):
                file.write(f"{line}\n")
        written.append(path)
    for doubt in stations.doubts:
        print(f"borderflow publish: {doubt}", file=sys.stderr)
    for reason, count in sorted(left_out.items()):
        print(f"borderflow publish: {count} vehicles left out: each {reason}", file=sys.stderr)
    return written


def _csv(days: list[SiteDay], args: argparse.Namespace) -> list[Path]:
    return list(csv_files.write(days, args.out))


def _datex2(days: list[SiteDay], args: argparse.Namespace) -> list[Path]:
    return list(datex2.write(days, args.out))


def _parquet(days: list[SiteDay], args: argparse.Namespace) -> list[Path]:
    try:
        from edge.centre.publish import parquet_files
    except ImportError as error:
        raise ValueError(f"Parquet needs DuckDB ({error}): pip install 'borderflow[publish]'") from None
    return list(parquet_files.write(days, args.out))


_FORMATS: dict[str, Callable[[list[SiteDay], argparse.Namespace], list[Path]]] = {
    "csv": _csv,
    "datex2": _datex2,
    "parquet": _parquet,
    "tmg": _tmg,
}
