"""The line above the tables: what this is, whether the link stands, how old the last message is. For the screens."""

from __future__ import annotations

from rich.text import Text

from edge.watch.inbox import Inbox
from edge.watch.view import CrossingView
from edge.watch.words import Words

_QUIET_S = 60.0  # a status comes at least so often; without any message for longer something is wrong


def headline(title: str, inbox: Inbox, view: CrossingView, words: Words) -> Text:
    """One line: the title, the link, the age of the last message, how many came."""
    now_s = inbox.clock()
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{title}  ", "bold")
    if inbox.lost_at_s is not None:
        text.append(words["lost"].format(age=words.age(now_s - inbox.lost_at_s)), "bold white on red")
        return text
    text.append(words["linked"], "green")
    if inbox.last_at_s is None:
        text.append(f", {words['nothing']}", "yellow")
    else:
        quiet_s = now_s - inbox.last_at_s
        text.append(f", {words['last'].format(age=words.age(quiet_s))}", "yellow" if quiet_s > _QUIET_S else "")
    counted = (f"{view.counts[kind]} {kind}" for kind in ("vehicle", "wait", "alarm") if kind in view.counts)
    return text.append("".join(f" · {part}" for part in counted))
