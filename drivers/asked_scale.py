"""What scales have in common that tell their weight in a line of text when asked; `sma_scale` and `mt_sics` are such.

In comes a driver with its codec and its two questions, out come samples, the inputs stable and overload, and once a
second the gross weight. A scale with a tare shows the net weight: the tare is asked for each second and added, because
what stands on the axles is gross. While it is not known, a net weight is no sample (`net_without_tare`).
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options
from drivers.events import Measurement, Rejected
from drivers.framing import FrameCodec
from drivers.inputs import InputWatch
from drivers.links import Link, connect
from drivers.pace import pause_s
from drivers.weighstream import PollStream

LB_KG = 0.45359237  # exact: international yard and pound agreement of 1959
UNITS_KG = {
    "kg": 1.0,
    "g": 1e-3,
    "t": 1000.0,
    "lb": LB_KG,
    "lbs": LB_KG,
    "oz": LB_KG / 16,
    "tn": 2000 * LB_KG,
    "ton": 2000 * LB_KG,
}
"""Short tons for `tn` and `ton`, as North American scales mean them."""

_ANSWER_S = 0.5
_TARE_S = 1.0
_SLOW_NS = 1_000_000_000


class AskedScaleOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    poll_hz: Annotated[float, Meta(gt=0, le=20, description="how often the scale is asked")] = 8.0
    per_count: Annotated[float, Meta(gt=0, description="kg in one count of the sample stream")] = 2.0


@dataclass(frozen=True, slots=True)
class Weight:
    """An answer. `kg` is None where the scale shows none; `tare` says that `kg` is the tare and no load."""

    time_ns: int
    kg: float | None
    net: bool | None = False  # None: the scale does not say
    moving: bool = False
    out_of_range: bool = False
    tare: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The scale does not know what it was asked, or cannot do it now."""

    time_ns: int


Answer = Weight | Refused


class AskedScale(Driver):
    schemes = ("serial", "tcp", "rfc2217")
    reports = frozenset({"overload"})
    options: AskedScaleOptions

    question: ClassVar[bytes]
    tare_question: ClassVar[bytes]

    _stream: PollStream | None = None

    @abstractmethod
    def codec(self) -> FrameCodec[Answer]:
        """A new one, for a session."""

    def offer(self) -> Offer:
        return Offer(
            channels=1,
            rate_hz=self.options.poll_hz,
            inputs=frozenset({"stable", "overload"}),
            temperatures=frozenset(),
        )

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options, loop = self.options, asyncio.get_running_loop()
        stream = self._stream = self._stream or PollStream(self.name, options.per_count, options.poll_hz)
        stream.begin(self.clock())
        inputs, codec = InputWatch(self.name, ("stable", "overload")), self.codec()
        tare_kg: float | None = None
        tare_asked_s, shown_ns = -_TARE_S, 0
        async with connect(self) as link:
            while True:
                weight = await self._ask(link, codec, self.question, emit)
                if isinstance(weight, Weight) and not weight.tare:
                    alive()
                    if weight.net is not False and loop.time() - tare_asked_s >= _TARE_S:
                        tare_asked_s = loop.time()
                        answer = await self._ask(link, codec, self.tare_question, emit)
                        # who has no tare refuses the question; who lost the answer keeps what was known
                        if isinstance(answer, Weight) and answer.tare:
                            tare_kg = answer.kg
                        elif isinstance(answer, Refused) and weight.net is None:
                            tare_kg = 0.0
                    for change in inputs.look([not weight.moving, weight.out_of_range], None, weight.time_ns):
                        emit(change)
                    gross_kg = self._gross_kg(weight, tare_kg)
                    if weight.kg is not None and gross_kg is None:
                        emit(Rejected(self.name, weight.time_ns, "net_without_tare"))
                    if gross_kg is not None:
                        if (block := stream.block(gross_kg, weight.time_ns)) is not None:
                            emit(block)
                        if abs(weight.time_ns - shown_ns) >= _SLOW_NS:
                            shown_ns = weight.time_ns
                            emit(Measurement(self.name, weight.time_ns, "gross", gross_kg, "_kg"))
                await asyncio.sleep(pause_s(loop.time(), 1.0 / options.poll_hz))

    @staticmethod
    def _gross_kg(weight: Weight, tare_kg: float | None) -> float | None:
        if weight.kg is None or weight.net is False:
            return weight.kg
        return weight.kg + tare_kg if tare_kg is not None else None

    async def _ask(self, link: Link, codec: FrameCodec[Answer], question: bytes, emit: Emit) -> Answer | None:
        """The answer; None where none came. A late one must not pass for the next: what is there is dropped."""
        codec.reset()
        link.drop_input()
        await link.say(question)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                while True:
                    for record in codec.feed(*await link.read()):
                        if not isinstance(record, Rejected):
                            return record
                        emit(record)
        return None
