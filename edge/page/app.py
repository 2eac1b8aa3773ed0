"""The lane's page as a web application: addresses in, pages, JSON and metrics out. Run by `borderflow page`.

It knows nothing but what the daemon's socket tells. It changes nothing either; the one thing that is handed out for a
token alone is the raw waveform, since a recording is data of the site.
"""

from __future__ import annotations

import hmac
import threading
import time
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge.eyes.client import NoDaemon
from edge.page.drawing import drawing
from edge.page.feed import Feed
from edge.page.metrics import exposition
from edge.page.words import Words
from edge.web.language import language_of
from edge.words.values import LANGUAGES

_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "scope.js": "text/javascript"}
_WRONG_TOKEN_S = 1.0  # after a wrong token none is looked at for so long
_VEHICLES_SHOWN = 8


class Page:
    """See the head of this file. Without a `token` nothing is handed out but what is shown."""

    def __init__(self, feed: Feed, token: str | None = None) -> None:
        self._feed, self._token = feed, token
        self._wrong_at = -_WRONG_TOKEN_S
        self._saving = threading.Lock()
        self._templates = Environment(
            loader=PackageLoader("edge.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals.update(drawing=drawing)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/lane/{lane}", self.lane),
                Route("/lane/{lane}/scope", self.scope),
                Route("/lane/{lane}/save", self.save, methods=["POST"]),
                Route("/api/v1/state", self.api_state),
                Route("/metrics", self.metrics),
                Route("/static/{name}", self.static),
            ],
            exception_handlers={NoDaemon: self.nobody},
        )

    def front(self, request: Request) -> Response:
        state = self._feed.state()
        return self._html(request, "front.html", state=state, vehicles=state["vehicles"][:_VEHICLES_SHOWN])

    def lane(self, request: Request) -> Response:
        state, lane = self._lane(request)
        vehicles = [vehicle for vehicle in state["vehicles"] if vehicle["lane"] == lane["id"]][:_VEHICLES_SHOWN]
        return self._html(request, "lane.html", state=state, lane=lane, vehicles=vehicles)

    def scope(self, request: Request) -> Response:
        """The waveforms of a stretch: `seconds` of it, `columns` of the picture, `end` scan (default: now)."""
        _, lane = self._lane(request)
        if not lane["sensors"]:
            raise HTTPException(404, "this lane is not weighed")
        try:
            seconds = float(request.query_params.get("seconds", 10))
            columns = int(request.query_params.get("columns", 600))
            end = int(request.query_params["end"]) if "end" in request.query_params else None
        except (ValueError, OverflowError):
            raise HTTPException(400, "seconds, columns and end are numbers") from None
        if not seconds == seconds:
            raise HTTPException(400, "seconds is no number")
        try:
            return JSONResponse(self._feed.scope(lane["id"]).view(seconds, columns, end))
        except OSError:
            raise NoDaemon("the daemon went away") from None

    def save(self, request: Request) -> Response:
        """The last minutes of the scope as a SigMF archive."""
        _, lane = self._lane(request)
        self._admit(request.headers.get("x-borderflow-token", ""))
        if not lane["sensors"] or not self._saving.acquire(blocking=False):
            raise HTTPException(409, "nothing to save, or somebody saves just now")
        try:
            name, packed = self._feed.scope(lane["id"]).saved()
        except (LookupError, OSError):
            raise HTTPException(409, "no samples came yet") from None
        finally:
            self._saving.release()
        disposition = f'attachment; filename="{name}.sigmf"'
        return Response(packed, media_type="application/x-tar", headers={"content-disposition": disposition})

    def api_state(self, request: Request) -> Response:
        return JSONResponse(self._feed.state())

    def metrics(self, request: Request) -> Response:
        try:
            state = self._feed.state()
        except NoDaemon:
            state = None
        return Response(exposition(state), media_type="text/plain; version=0.0.4; charset=utf-8")

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404)
        data = (resources.files("edge.page") / "static" / name).read_bytes()
        return Response(data, media_type=_STATIC[name], headers={"cache-control": "max-age=300"})

    def nobody(self, request: Request, error: Exception) -> Response:
        """The daemon does not answer: a page says so, and looks again."""
        if request.url.path.startswith("/api") or request.url.path.endswith(("/scope", "/save")):
            return PlainTextResponse(f"{error}\n", 503)
        return self._html(request, "nobody.html", status=503, trouble=str(error))

    def _admit(self, token: str) -> None:
        """HTTPException where it is not the token."""
        if self._token is None:
            raise HTTPException(403, "this page was started without --token-file; nothing can be saved")
        if time.monotonic() - self._wrong_at < _WRONG_TOKEN_S:
            raise HTTPException(429, "a wrong token came just now; wait a second")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            self._wrong_at = time.monotonic()
            raise HTTPException(403, "this is not the token")

    def _lane(self, request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
        state = self._feed.state()
        lane = next((lane for lane in state["lanes"] if lane["id"] == request.path_params["lane"]), None)
        if lane is None:
            raise HTTPException(404, "there is no such lane")
        return state, lane

    def _html(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        language = language_of(request.query_params.get("lang"), request.headers.get("accept-language", ""))
        values |= {"words": Words(language), "languages": LANGUAGES, "path": request.url.path, "token": self._token}
        return HTMLResponse(self._templates.get_template(name).render(values), status)
