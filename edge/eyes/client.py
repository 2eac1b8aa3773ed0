"""Asks the daemon of this computer: a question in, its answer out. Called by `status`, `doctor`, `bundle` and `page`.

Only what is quick to load is imported here: `status` answers a person who waits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.eyes.place import PlaceError, candidates, connect, store_of

ANSWER_MOST = 4_000_000
WITHIN_S = 3.0


class NoDaemon(Exception):
    """Nobody answers; the text says where was looked and what to do."""


def find(config: Path | None) -> tuple[Path, dict[str, Any]]:
    """The socket of the daemon that uses this configuration, and the state that it tells.

    Without a configuration: the one that runs at the usual places. NoDaemon, PlaceError.
    """
    store = store_of(config)
    closed = ""
    for path in candidates(store):
        try:
            state = ask(path, {"ask": "state"})
        except PermissionError:
            closed = f"{path}: may not be read by you; ask as its user, a member of its group, or root"
        except (OSError, ValueError):
            continue
        else:
            if config is None or state.get("disk", {}).get("path") == store or _was_read_from(config, state):
                return path, state
    other = (
        "; after a change of [store] path: restart it"
        if config is not None
        else ", or name the configuration of another one with --config"
    )
    raise NoDaemon(closed or f"no daemon answers for {store}; start it: systemctl start borderflow{other}")


def _was_read_from(config: Path, state: dict[str, Any]) -> bool:
    """Also where the file names another store by now."""
    return bool(state.get("process", {}).get("config_file") == str(config.absolute()))


def ask(path: Path, question: dict[str, Any], timeout_s: float = WITHIN_S) -> dict[str, Any]:
    """One question and its answer. OSError where nobody is there, ValueError where the answer is none."""
    with connect(path, timeout_s) as channel:
        channel.sendall(json.dumps(question).encode() + b"\n")
        with channel.makefile("rb") as stream:
            line = stream.readline(ANSWER_MOST)
    answer = json.loads(line)
    if not isinstance(answer, dict) or "error" in answer:
        raise ValueError(answer.get("error", "no answer") if isinstance(answer, dict) else "no object")
    return answer


__all__ = ["NoDaemon", "PlaceError", "ask", "find"]
