"""Text of strangers for a terminal: what could move the cursor, colour, ring or turn the line round is replaced.

Anybody who may publish can put any characters into a message. Called wherever one is shown.
"""

from __future__ import annotations

import re
from typing import Any

# Control characters (ESC among them), marks that change the direction of writing or have no width, halves of pairs.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
_LONGEST = 500


def harmless(value: Any) -> str:
    """The value as text on one line, at most 500 characters, a `·` for each that could do more than stand there."""
    text = str(value)
    return _HARMFUL.sub("·", text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
