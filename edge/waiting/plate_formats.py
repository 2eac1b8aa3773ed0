"""Forms of licence plates of Canada, the United States and Mexico, and the table that compares plates at two points.

In: the configuration of the readers; out: `edge.core.PlateTable`. Where the forms leave a place to a digit alone, an O
there is a misread 0. 9 stands for a digit, A for a letter; blanks and dashes are left out. Called by
`edge.waiting.waits`.

Recalled, and compared in part with Wikipedia, "Canadian licence plate designs and serial formats" and "United States
license plate designs and serial formats"; Mexico after NOM-001-SCT-2 (Diario Oficial, 24 June 2016), its federal forms
uncertain. Forms of several states are listed once. A plate that has none of these
forms (one in ten is thought to) is compared as well, only that a letter and a digit may then stand anywhere.
"""

from __future__ import annotations

from edge import config as cfg
from edge.core import PlateTable

FORMATS: dict[str, tuple[str, ...]] = {
    # Ontario AAAA999 and trucks AA99999, Quebec A99AAA and trucks A999999, Alberta AAA9999, British Columbia AA999A and
    # trucks AA9999, Manitoba, New Brunswick, Nova Scotia and Newfoundland AAA999, Saskatchewan 999AAA, the North 999999
    "CA": ("AAAA999", "AA99999", "A99AAA", "AAA999", "A999999", "AAA9999", "AA999A", "AA9999", "999AAA", "999999"),
    # Most states AAA9999 or AAA999; California 9AAA999 and trucks 9A99999, 99999A9; New York trucks 99999AA; Washington
    # trucks A99999A; Florida AAAA99, AAAA9A; Illinois AA99999 and trucks A999999; Maryland 9AA9999; Michigan 9AAA99;
    # Arkansas AAA99A; Indiana 999AAA; counties first in Alabama, Montana, Nebraska and others
    "US": (
        "AAA9999", "AAA999", "9AAA999", "9A99999", "99999A9", "99999AA", "A99999A", "AAAA99", "AAAA9A", "AA99999",
        "A999999", "9AA9999", "9AAA99", "AAA99A", "999AAA", "9999AA", "999AA", "AAA99", "AA9999", "99A999", "9A9999",
        "999999", "9999999", "99999", "A9999", "A99999", "AA999", "9999AAA", "99AA99", "99AAA9",
    ),
    # Cars AAA9999, AAA999A, AAA999 (no I, O, Q); trucks AA99999, AA9999A; federal carriers with two letters
    # amid digits
    "MX": ("AAA9999", "AAA999A", "AAA999", "AA99999", "AA9999A", "AA9999", "99AA9A", "999AA9", "99AA99", "A99AAA"),
}  # fmt: skip


def patterns() -> list[str]:
    """All forms, each once: at a border there are plates of both sides, and of those that pass through."""
    return list(dict.fromkeys(pattern for forms in FORMATS.values() for pattern in forms))


def table(upstream: cfg.PlateReader, downstream: cfg.PlateReader) -> PlateTable:
    """Compares plates that the readers at two points read."""
    out = PlateTable(error_upstream=upstream.error, error_downstream=downstream.error, formats=patterns())
    for is_downstream, reader in ((False, upstream), (True, downstream)):
        for truly, shares in reader.confusion.items():
            for read, share in shares.items():
                out.confusion(downstream=is_downstream, truly=truly, read=read, share=share)
    return out
