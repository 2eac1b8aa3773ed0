"""What a reconciliation found, typed and in words. Made by `reconcile.py`, printed by `borderflow-sim verify`."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """How a set of errors (measured minus true) lies; None where it is empty."""

    n: int
    mean: float | None
    sd: float | None
    p50: float | None
    p95_abs: float | None
    worst_abs: float | None


@dataclass(frozen=True, slots=True)
class VehicleResult:
    truth: int
    found: int
    in_part: int  # of the found ones: only what is flagged `partial`, at another time than that of the first axle
    missed: tuple[str, ...]  # lane, time and kind of each
    invented: tuple[str, ...]  # lane, time and number of axles of each
    axle_count_right: int
    class_right: int
    flagged: int  # of the found ones, by the daemon
    gross_relative: Spread  # of clean vehicles with the right number of axles; so all that follow
    axle_relative: Spread
    speed_relative: Spread
    length_m: Spread
    time_s: Spread
    latency_s: Spread  # from the vehicle's end leaving the array to the message at the subscriber


@dataclass(frozen=True, slots=True)
class SightingResult:
    truth: int
    found: int
    invented: int
    pseudonyms_right: int  # tags that had one pseudonym, which no other tag had
    pseudonyms_wrong: int
    on_vehicles_right: int  # identities in vehicle messages that were read from that vehicle
    on_vehicles_wrong: int


@dataclass(frozen=True, slots=True)
class WaitResult:
    intervals: int  # messages compared
    count_right: int  # intervals whose `experienced.count` is right
    vehicles_truth: int
    vehicles_reported: int
    median_s: Spread  # error of the experienced median, where both know one
    expected_s: Spread  # error of the expected wait against the vehicle that joined next
    expected_covered: float | None  # share of these within low_s .. high_s


@dataclass(frozen=True, slots=True)
class TopicResult:
    topic: str
    messages: int
    duplicates: int
    missing: int  # numbers of `seq` that never came, between the first and the last of each epoch
    epochs: int


@dataclass(frozen=True, slots=True)
class FaultResult:
    device: str
    fault: str
    begin: str
    expected: tuple[str, ...]  # codes of which one says that it was seen; none: it does no harm that could be seen
    alarm: str | None  # the first alarm of this device that began after it, one with an expected code if there is any
    alarm_after_s: float | None
    ended: bool  # that alarm ended as well

    @property
    def seen(self) -> bool:
        """Seen for what it is, and its end too."""
        return self.alarm in self.expected and self.ended


@dataclass(frozen=True, slots=True)
class Reconciliation:
    vehicles: VehicleResult
    sightings: SightingResult
    waits: WaitResult
    topics: tuple[TopicResult, ...]
    faults: tuple[FaultResult, ...]

    @property
    def complete(self) -> bool:
        """Every vehicle once, none invented, no number missing."""
        lost = any(topic.missing for topic in self.topics)
        return not (self.vehicles.missed or self.vehicles.invented or lost)

    def as_dict(self) -> dict[str, Any]:
        return {"complete": self.complete} | asdict(self)


def spread(errors: list[float]) -> Spread:
    """Of errors in any order."""
    if not errors:
        return Spread(0, None, None, None, None, None)
    sizes = sorted(abs(error) for error in errors)
    return Spread(
        n=len(errors),
        mean=statistics.fmean(errors),
        sd=statistics.stdev(errors) if len(errors) > 1 else None,
        p50=statistics.median(errors),
        p95_abs=sizes[max(0, math.ceil(0.95 * len(sizes)) - 1)],
        worst_abs=sizes[-1],
    )


def text(result: Reconciliation) -> str:
    """The reconciliation for a person."""
    v, s, w = result.vehicles, result.sightings, result.waits
    rows = [
        f"vehicles    {v.truth} true, {v.found} found, {len(v.missed)} missed, {len(v.invented)} invented; "
        f"{v.in_part} found in part",
        f"            axle count right {v.axle_count_right}/{v.found}, class right {v.class_right}/{v.found}, "
        f"flagged {v.flagged}",
        f"  gross     {_percent(v.gross_relative)}",
        f"  axle      {_percent(v.axle_relative)}",
        f"  speed     {_percent(v.speed_relative)}",
        f"  length    {_plain(v.length_m, 'm')}",
        f"  time      {_plain(v.time_s, 's')}",
        f"  latency   {_plain(v.latency_s, 's')}",
        f"sightings   {s.truth} true, {s.found} found, {s.invented} invented; tags with their own pseudonym "
        f"{s.pseudonyms_right}/{s.pseudonyms_right + s.pseudonyms_wrong}; "
        f"on the right vehicle {s.on_vehicles_right}/{s.on_vehicles_right + s.on_vehicles_wrong}",
        f"waits       {w.intervals} intervals, count right in {w.count_right}; "
        f"vehicles {w.vehicles_reported} of {w.vehicles_truth}",
        f"  median    {_plain(w.median_s, 's')}",
        f"  expected  {_plain(w.expected_s, 's')}"
        + (f", {w.expected_covered:.0%} within the interval told" if w.expected_covered is not None else ""),
    ]
    rows += [f"  missed    {name}" for name in v.missed]
    rows += [f"  invented  {name}" for name in v.invented]
    for topic in result.topics:
        note = "" if not topic.missing and not topic.duplicates and topic.epochs == 1 else "  <--"
        rows.append(
            f"topic       {topic.topic}: {topic.messages} messages, {topic.missing} missing, "
            f"{topic.duplicates} repeated, {topic.epochs} epochs{note}"
        )
    for fault in result.faults:
        seen = "no alarm" if fault.expected else "no alarm, and none is expected"
        if fault.alarm is not None:
            seen = f"alarm {fault.alarm} after {fault.alarm_after_s} s, {'ended' if fault.ended else 'not ended'}"
            if fault.alarm not in fault.expected:
                seen += f" (expected: {' or '.join(fault.expected) or 'none'})"
        rows.append(f"fault       {fault.begin} {fault.device} {fault.fault}: {seen}")
    harmful = [fault for fault in result.faults if fault.expected]
    if harmful:
        rows.append(
            f"faults      {len(harmful)} that can be seen, {sum(fault.seen for fault in harmful)} seen to begin and end"
        )
    return "\n".join(rows)


def _percent(spread: Spread) -> str:
    if spread.mean is None or spread.worst_abs is None:
        return "none compared"
    sd = "" if spread.sd is None else f", sd {spread.sd:.2%}"
    tail = f"95 % within {spread.p95_abs:.2%}, worst {spread.worst_abs:.2%} (n {spread.n})"
    return f"mean error {spread.mean:+.2%}{sd}, {tail}"


def _plain(spread: Spread, unit: str) -> str:
    if spread.mean is None or spread.worst_abs is None:
        return "none compared"
    sd = "" if spread.sd is None else f", sd {spread.sd:.3f}"
    return (
        f"mean {spread.mean:+.3f} {unit}{sd}, median {spread.p50:+.3f}, 95 % within {spread.p95_abs:.3f}, "
        f"worst {spread.worst_abs:.3f} (n {spread.n})"
    )
