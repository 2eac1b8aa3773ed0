"""The board as a web application: addresses → records → pages or JSON. Run by `borderflow board`.

Each answer is made from the database at that moment, at most once in `FRESH_S` for all readers together.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from edge.centre.board import operators, plots
from edge.centre.board.waits import Crossing, Curve, Group, crossings, curve
from edge.centre.board.words import Words, clock
from edge.centre.database import reading_of
from edge.centre.gap_table import Execute
from edge.centre.local_day import bounds_ns, day_of, zone_of
from edge.centre.store import StoreError
from edge.messages import utc_text
from edge.web.language import language_of
from edge.words.values import LANGUAGES

FRESH_S = 5.0
_CACHED_MOST = 500
_STATIC = {"board.css": "text/css", "board.js": "text/javascript"}


class Board:
    """See the head of this file. `public`: the pages for operators are not served at all."""

    def __init__(self, database: str, *, public: bool = False, clock: Callable[[], int] = time.time_ns) -> None:
        self._database, self._clock, self._public = database, clock, public
        self._pages = Environment(
            loader=PackageLoader("edge.centre.board"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._pages.globals.update(clock=clock_of, plots=plots, zone_name=lambda crossing: crossing.timezone)
        self._cache: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def app(self) -> Starlette:
        routes = [
            Route("/", self.front),
            Route("/crossing/{country}/{port}", self.crossing),
            Route("/api/v1/waits", self.api_waits),
            Route("/api/v1/crossings/{country}/{port}", self.api_crossing),
            Route("/metrics", self.metrics),
            Route("/static/{name}", self.static),
        ]
        if not self._public:
            routes += [
                Route("/operator", self.operator),
                Route("/operator/{country}/{port}", self.operator_crossing),
                Route("/api/v1/operator/{country}/{port}", self.api_operator),
                Route("/api/v1/alarms", self.api_alarms),
            ]
        return Starlette(routes=routes, exception_handlers={StoreError: _unavailable})

    # For the public

    def front(self, request: Request) -> Response:
        now_ns = self._clock()
        found = self._waits(now_ns)
        return self._page(request, "front.html", crossings=found, now_ns=now_ns)

    def crossing(self, request: Request) -> Response:
        now_ns = self._clock()
        crossing = self._named(request, now_ns)
        curves = self._curves(crossing, now_ns)
        return self._page(request, "crossing.html", crossing=crossing, curves=curves, now_ns=now_ns)

    def api_waits(self, request: Request) -> Response:
        now_ns = self._clock()
        found = self._waits(now_ns)
        return JSONResponse({"time": utc_text(now_ns), "crossings": [crossing.record() for crossing in found]})

    def api_crossing(self, request: Request) -> Response:
        now_ns = self._clock()
        crossing = self._named(request, now_ns)
        groups = [{**asdict(group), "curve": asdict(found)} for group, found in self._curves(crossing, now_ns)]
        return JSONResponse({"time": utc_text(now_ns), **crossing.record(), "groups": groups})

    # For operators

    def operator(self, request: Request) -> Response:
        now_ns = self._clock()
        held = self._once("alarms", lambda read: operators.alarms(read, now_ns))
        there = self._once("computers", lambda read: operators.computers(read, now_ns))
        found = self._waits(now_ns)
        return self._page(request, "operator.html", alarms=held, computers=there, crossings=found, now_ns=now_ns)

    def operator_crossing(self, request: Request) -> Response:
        crossing = self._named(request, self._clock())
        return self._page(request, "operator_crossing.html", crossing=crossing, **self._of(crossing))

    def api_operator(self, request: Request) -> Response:
        return JSONResponse(_plain(self._of(self._named(request, self._clock()))))

    def api_alarms(self, request: Request) -> Response:
        now_ns = self._clock()
        return JSONResponse({"alarms": self._once("alarms", lambda read: operators.alarms(read, now_ns))})

    def _of(self, crossing: Crossing) -> dict[str, Any]:
        now_ns = self._clock()
        place, zone = (crossing.country, crossing.port), zone_of(crossing.timezone)
        today = day_of(now_ns, zone)

        def read_all(read: Execute) -> dict[str, Any]:
            return {
                "now_ns": now_ns,
                "lanes": operators.lanes(read, *place, now_ns),
                "alarms": operators.alarms(read, now_ns, *place),
                "computers": operators.computers(read, now_ns, *place),
                "gaps": operators.gaps(read, *place, now_ns),
                "coverage": operators.coverage(read, *place, today),
                "classes": operators.classes(read, *place, *bounds_ns(today, zone)),
            }

        found: dict[str, Any] = self._once(f"operator {crossing.country}/{crossing.port}", read_all)
        return found

    # For machines

    def metrics(self, request: Request) -> Response:
        """For Prometheus; labels are names of crossings and computers alone."""
        now_ns = self._clock()
        registry = CollectorRegistry()
        heard = Gauge(
            "borderflow_centre_computer_heard_age_seconds", "Since the last word of a computer",
            ("country", "port", "source"), registry=registry,
        )  # fmt: skip
        online = Gauge(
            "borderflow_centre_computer_online", "1 where its last word says so", ("country", "port", "source"),
            registry=registry,
        )  # fmt: skip
        for row in self._once("computers", lambda read: operators.computers(read, now_ns)):
            labels = (row["country"], row["port"], row["source"])
            heard.labels(*labels).set(row["age_s"])
            online.labels(*labels).set(row["online"])
        held = Gauge(
            "borderflow_centre_alarms", "Conditions that hold", ("country", "port", "severity"), registry=registry
        )
        for alarm in self._once("alarms", lambda read: operators.alarms(read, now_ns)):
            held.labels(alarm["country"], alarm["port"], alarm["severity"]).inc()
        missing = Gauge(
            "borderflow_centre_missing_messages", "Numbers that are missing and asked for", registry=registry
        )
        query = "SELECT coalesce(sum(to_seq - from_seq + 1), 0) FROM gap WHERE state = 'open'"
        missing.set(float(self._once("missing", lambda read: read(query, ()))[0][0]))
        waits = Gauge(
            "borderflow_centre_expected_wait_seconds", "What a vehicle that joins now will wait",
            ("country", "port", "direction", "traffic", "program"), registry=registry,
        )  # fmt: skip
        for crossing in self._waits(now_ns):
            for group in crossing.groups:
                if group.expected_s is not None:
                    waits.labels(crossing.country, crossing.port, *group.key).set(group.expected_s)
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404)
        data = (resources.files("edge.centre.board") / "static" / name).read_bytes()
        return Response(data, media_type=_STATIC[name], headers={"cache-control": "max-age=300"})

    # Beneath

    def _waits(self, now_ns: int) -> list[Crossing]:
        found: list[Crossing] = self._once("waits", lambda read: crossings(read, now_ns))
        return found

    def _curves(self, crossing: Crossing, now_ns: int) -> list[tuple[Group, Curve]]:
        """Each group of a crossing with its day."""
        made: list[tuple[Group, Curve]] = self._once(
            f"curves {crossing.country}/{crossing.port}",
            lambda read: [(group, curve(read, crossing, group, now_ns)) for group in crossing.groups],
        )
        return made

    def _named(self, request: Request, now_ns: int) -> Crossing:
        place = (request.path_params["country"], request.path_params["port"])
        found = self._waits(now_ns)
        crossing = next((crossing for crossing in found if (crossing.country, crossing.port) == place), None)
        if crossing is None:
            raise HTTPException(404)
        return crossing

    def _page(self, request: Request, name: str, **values: Any) -> Response:
        language = language_of(request.query_params.get("lang"), request.headers.get("accept-language", ""))
        values |= {"words": Words(language), "languages": LANGUAGES, "path": request.url.path, "public": self._public}
        return HTMLResponse(self._pages.get_template(name).render(values))

    def _once(self, name: str, make: Callable[[Execute], Any]) -> Any:
        """What `make` reads, or what it read within the last `FRESH_S`: readers do not multiply the work."""
        with self._lock:
            now = time.monotonic()
            made_at, value = self._cache.get(name, (-1e9, None))
            if now - made_at < FRESH_S:
                return value
            with reading_of(self._database) as read:
                value = make(read)
            if len(self._cache) >= _CACHED_MOST:
                self._cache.clear()
            self._cache[name] = (now, value)
            return value


def clock_of(at_ns: int, zone: str) -> str:
    """`14:05` in the time of a crossing."""
    return clock(at_ns / 1e9, zone)


def _plain(value: Any) -> Any:
    """JSON without NaN, whatever the database holds."""
    return json.loads(json.dumps(value, default=str))


async def _unavailable(request: Request, error: Exception) -> Response:
    return Response(f"the database cannot be read: {error}\n", 503, media_type="text/plain")
