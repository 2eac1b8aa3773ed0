"""Whether the disk of the journal can hold what the configuration allows it: sizes in, a doubt or a note out.

Called by `borderflow check`, which may run on another computer: where the store's directory is not there, nothing is
said. The daemon goes on with such a disk; it is full before the journal drops by its order of kinds.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.config import Config, Faults, Store

_SHARE = 0.9  # of a disk that the journal may well have alone


def check_disk(config: Config, faults: Faults) -> None:
    """Doubt a `max_bytes` above the size of the disk; only note it where nobody wrote it."""
    store = config.store
    try:
        size = shutil.disk_usage(Path(store.path)).total
    except OSError:
        return
    if size >= store.max_bytes:
        return
    tell = faults.note if store == Store(path=store.path) else faults.doubt
    tell(
        "store.max_bytes",
        f"{store.max_bytes} is more than the disk of {store.path} holds ({size}), which is then full before the "
        f"journal keeps itself below it; give at most {int(size * _SHARE)}, or a larger disk",
    )
