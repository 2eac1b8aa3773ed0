"""The daemon's socket: questions in, state and live waveforms out, a JSON line each. Run by the daemon.

    {"ask": "state"}                       one line, then the next question
    {"ask": "scope", "lane": "C03"}        a line for each block of samples and weighed vehicle, until the client goes

Whoever is in the socket's group may ask, and nothing can be changed here. A client that does not read, asks nonsense or
too much is let go; what waits for it has a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import msgspec

from edge.eyes.place import listen
from edge.eyes.scopes import Scopes
from edge.eyes.state import StateOf

log = logging.getLogger("eyes")

CLIENTS_MOST = 32
QUESTION_MOST = 4096
WAITING_MOST = 512 * 1024  # bytes for one client: about five seconds of a lane's waveforms
_PATIENCE_S = 10.0


class Eyes:
    """Serves until it is cancelled. Where the socket cannot be made, the daemon goes on without: it weighs first."""

    def __init__(self, path: Path, state: StateOf, scopes: Scopes) -> None:
        self._path, self._state, self._scopes = path, state, scopes
        self._clients: set[asyncio.Task[None]] = set()
        self.refused = 0

    async def run(self) -> None:
        try:
            listener = listen(self._path)
        except OSError as error:
            log.warning("%s: cannot be served (%s); `status` and the page see nothing", self._path, error.strerror)
            return
        server = await asyncio.start_unix_server(self._accept, sock=listener, limit=QUESTION_MOST)
        try:
            async with server:
                await server.serve_forever()
        finally:
            for client in self._clients:
                client.cancel()
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= CLIENTS_MOST:
            self.refused += 1
            writer.transport.abort()
            return
        client = asyncio.ensure_future(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)  # `drain` waits until the client has taken it all
        try:
            while True:
                async with asyncio.timeout(_PATIENCE_S):
                    line = await reader.readline()
                    if not line:
                        break
                    question = _question(line)
                    if question.get("ask") != "scope":
                        await self._answer(question, writer)
                        continue
                await self._scope(question, reader, writer)
                break
        except (OSError, TimeoutError, ValueError):  # it went, it does not read, or its line has no end
            pass
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _answer(self, question: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if question.get("ask") == "state":
            writer.write(await self._state.encoded() + b"\n")
        else:
            writer.write(_error('ask {"ask": "state"} or {"ask": "scope", "lane": ID}'))
        await writer.drain()  # who asks again and never reads gets no second answer

    async def _scope(
        self, question: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Waveforms until the client goes, or has not read for so long that it never will."""

        def send(line: bytes) -> bool:
            if writer.transport.get_write_buffer_size() + len(line) > WAITING_MOST:
                return False
            writer.write(line)
            return True

        looker = self._scopes.open(str(question.get("lane")), send)
        if isinstance(looker, str):
            writer.write(_error(looker))
            return
        try:
            gone = asyncio.ensure_future(reader.read(1))
            while not gone.done():
                before = looker.dropped
                await asyncio.wait({gone}, timeout=_PATIENCE_S)
                if looker.dropped > before > 0:
                    break
            gone.cancel()
        finally:
            self._scopes.close(looker)


def _question(line: bytes) -> dict[str, Any]:
    try:
        question = msgspec.json.decode(line) if line.strip() else {"ask": "state"}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return question if isinstance(question, dict) else {}


def _error(text: str) -> bytes:
    return msgspec.json.encode({"error": text}) + b"\n"
