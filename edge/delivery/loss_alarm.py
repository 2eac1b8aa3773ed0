"""The message that explains a gap: which numbers of a topic the journal dropped, or lost to a
damaged disk, so that nobody waits or asks for them.

In: a `Loss` of the journal; out: an `Alarm` with its `gap`. Handed to the journal by the daemon.
"""

from __future__ import annotations

from msgspec import UNSET

from edge.alarms.texts import text_of
from edge.delivery.entry import Loss
from edge.messages import Alarm, Args, Gap, Site, utc_text


def loss_alarm(loss: Loss, *, site: Site, source: str) -> Alarm:
    """A loss is an event: its alarm begins and never ends."""
    code = f"journal_{loss.cause}"
    args: Args = {"count": loss.messages, "topic": loss.topic, "from_seq": loss.from_seq, "to_seq": loss.to_seq}
    return Alarm(
        time=utc_text(loss.time_ns),
        site=site,
        lane="_",
        source=source,
        code=code,
        state="begin",
        severity="critical",
        text=text_of(code, args),
        args=args,
        device=None,
        gap=Gap(
            topic=loss.topic,
            epoch=loss.epoch,
            from_seq=loss.from_seq,
            to_seq=loss.to_seq,
            count=loss.messages,
            link_before=UNSET if loss.before is None else loss.before.hex(),
            link_after=UNSET if loss.after is None else loss.after.hex(),
        ),
    )
