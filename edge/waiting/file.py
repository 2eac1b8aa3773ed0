"""A file of sightings in, the `wait` messages out that the daemon would have made. Called by `borderflow wait`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from edge import config as cfg
from edge.messages import Program, Wait
from edge.waiting.sightings import LineReader
from edge.waiting.waits import CrossingWaits


def run_file(
    config: cfg.Config, path: Path, *, complain: Callable[[str], None] | None = None, source: str | None = None
) -> Iterator[Wait]:
    """The messages in the order of time.

    Bad lines are told to `complain`, by default on standard error; raises SightingError when the file cannot be read.
    """
    complain = complain or _to_stderr
    waits = CrossingWaits(config, source=source or config.site.source or "local")
    reader = LineReader(path, complain)
    for chunk in reader.chunks():
        at = 0
        while at < len(chunk):
            at, taken = waits.feed_lines(chunk, at)
            reader.taken(taken)
            if at < len(chunk):  # a line that says something else than most do
                end = chunk.find(b"\n", at) + 1 or len(chunk)
                sighting = reader.sighting(chunk[at:end])
                if sighting is not None:
                    waits.feed(sighting)
                at = end
            if waits.ready:
                yield from waits.take()
    yield from waits.finish()
    known = {
        "unknown_lane": f"; the configuration has {', '.join(lane.id for lane in config.lane)}",
        "unknown_program": f"; a program is one of {', '.join(get_args(Program))}",
        "unknown_point": f"; the configuration has {', '.join(point.name for point in config.point)}",
    }
    for what, number in waits.stats().items():
        if number:
            complain(f"{path}: {what}: {number}{known.get(what, '')}")
    for direction, errors in waits.plate_errors().items():
        if errors.errors >= 1.0:
            pairs = ", ".join(f"{pair[0]}/{pair[1]}" for pair, _ in errors.pairs)
            share = f"{errors.errors / errors.characters:.1%} of the characters differ between the points"
            complain(f"{path}: plates, {direction}: {share}, most often {pairs}")


def _to_stderr(text: str) -> None:
    print(f"borderflow wait: {text}", file=sys.stderr)
