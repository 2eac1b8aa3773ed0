"""When a computer is asked for what is missing, and when it is given up."""

from __future__ import annotations

import json

from edge.centre.gaps import ASKED_MOST, due
from edge.centre.store import OpenGap
from edge.messages import utc_text

S = 1_000_000_000
T0 = 1_790_000_000 * S
BRANCH = "borderflow/v1/CA/0453/edge-1"


def gap(
    kind: str = "vehicle", first: int = 5, last: int = 9, *, asked_s: float | None = None, times: int = 0
) -> OpenGap:
    asked = None if asked_s is None else utc_text(T0 + int(asked_s * S))
    return OpenGap(f"{BRANCH}/C03/{kind}", "e1", first, last, utc_text(T0), asked, times)


def test_a_new_gap_settles_first_and_is_then_asked_for() -> None:
    assert due([gap()], T0 + 2 * S) == ([], [])
    (request,), lost = due([gap()], T0 + 4 * S)
    assert lost == []
    assert request.topic == f"{BRANCH}/_/replay"
    assert json.loads(request.body) == {"topic": f"{BRANCH}/C03/vehicle", "epoch": "e1", "from_seq": 5, "to_seq": 9}


def test_one_request_at_a_time_the_worthiest_kind_and_the_newest_numbers_first() -> None:
    gaps = [gap("status"), gap("vehicle", 1, 3), gap("vehicle", 100, 90_000)]
    (request,), _ = due(gaps, T0 + 4 * S)
    assert json.loads(request.body)["to_seq"] == 90_000
    assert json.loads(request.body)["from_seq"] > 80_000
    assert due([*gaps, gap("wait", asked_s=0, times=1)], T0 + 5 * S)[0] == []


def test_the_pauses_grow_and_in_the_end_it_is_lost() -> None:
    assert due([gap(asked_s=0, times=3)], T0 + 100 * S) == ([], [])
    assert len(due([gap(asked_s=0, times=3)], T0 + 121 * S)[0]) == 1
    last = gap(asked_s=0, times=ASKED_MOST)
    assert due([last], T0 + 86_400 * S) == ([], [last])
