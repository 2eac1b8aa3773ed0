"""The message that explains a gap: which numbers of a topic the journal dropped, or lost to a
damaged disk, so that nobody waits or asks for them.

In: a `Loss` of the journal; out: an `Alarm` with its `gap`. Handed to the journal by the daemon.
"""

from __future__ import annotations

from msgspec import UNSET

from edge.delivery.entry import Loss
from edge.messages import Alarm, Gap, Site, utc_text

_TEXTS = {
    "dropped": "the journal was full: {count} messages were dropped before every collector had them: {where}; "
    "give [store] max_bytes more room, or mend the collector",
    "damaged": "{count} messages were changed on the disk, and are not sent: {where}; replace the disk before it dies",
}


def loss_alarm(loss: Loss, *, site: Site, source: str) -> Alarm:
    """A loss is an event: its alarm begins and never ends."""
    return Alarm(
        time=utc_text(loss.time_ns),
        site=site,
        lane="_",
        source=source,
        code=f"journal_{loss.cause}",
        state="begin",
        severity="critical",
        text=_TEXTS[loss.cause].format(count=loss.messages, where=f"{loss.topic} seq {loss.from_seq} to {loss.to_seq}"),
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
