"""When a computer is asked for what is missing, and when it is given up."""

from __future__ import annotations

import json
import random

from edge.centre.gaps import ASKED_MOST, UNANSWERED_MOST, Due, Request, due
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


def spans(requests: list[Request]) -> list[tuple[str, int, int]]:
    said = [json.loads(request.body) for request in requests]
    return [(body["topic"].rsplit("/", 1)[-1], body["from_seq"], body["to_seq"]) for body in said]


def test_a_new_gap_settles_first_and_is_then_asked_for() -> None:
    assert due([gap()], T0 + 2 * S) == Due([], [])
    found = due([gap()], T0 + 4 * S)
    assert found.lost == []
    (request,) = found.requests
    assert request.topic == f"{BRANCH}/_/replay"
    assert json.loads(request.body) == {"topic": f"{BRANCH}/C03/vehicle", "epoch": "e1", "from_seq": 5, "to_seq": 9}


def test_the_worthiest_kind_and_the_newest_numbers_come_first_and_no_more_than_a_computer_can_answer() -> None:
    gaps = [gap("status"), gap("vehicle", 1, 3), gap("vehicle", 100, 90_000)]
    assert spans(due(gaps, T0 + 4 * S).requests) == [("vehicle", 90_001 - UNANSWERED_MOST, 90_000)]
    under_way = gap("wait", 1, UNANSWERED_MOST - 10, asked_s=0, times=1)
    assert spans(due([under_way, gap("vehicle", 1, 500)], T0 + 5 * S).requests) == [("vehicle", 491, 500)]
    assert spans(due([under_way, gap("vehicle", 1, 500)], T0 + 20 * S).requests) == [("vehicle", 1, 500)]


def test_a_thousand_messages_lost_at_random_are_asked_for_within_seconds() -> None:
    numbers = random.Random(5).sample(range(1, 50_000), 1000)
    open_, at = {n: gap("vehicle", n, n) for n in numbers}, T0 + 4 * S
    for _ in range(15):
        for request in due(open_.values(), at).requests:
            for asked in request.gaps:
                del open_[asked.from_seq]  # it comes at once
        at += S
    assert not open_


def test_near_gaps_are_one_request() -> None:
    gaps = [gap("vehicle", n, n) for n in (10, 12, 20, 60)]
    assert spans(due(gaps, T0 + 4 * S).requests) == [("vehicle", 60, 60), ("vehicle", 10, 20)]


def test_the_pauses_grow_and_in_the_end_it_is_lost() -> None:
    assert due([gap(asked_s=0, times=3)], T0 + 100 * S) == Due([], [])
    assert len(due([gap(asked_s=0, times=3)], T0 + 121 * S).requests) == 1
    last = gap(asked_s=0, times=ASKED_MOST)
    ((given_up, reason),) = due([last], T0 + 86_400 * S).lost
    assert given_up is last
    assert "10 times" in reason


def test_what_its_computer_keeps_no_more_is_lost_at_once() -> None:
    place = (gap().topic, gap().epoch)
    found = due([gap()], T0 + 4 * S, {place: gap().to_seq + 1})
    assert (found.requests, [reason for _, reason in found.lost]) == ([], ["older than what its computer keeps"])
    for of_another in ({place: gap().from_seq}, {(place[0], "before"): 99}, {(f"{BRANCH}/C04/vehicle", place[1]): 99}):
        assert len(due([gap()], T0 + 4 * S, of_another).requests) == 1


def test_what_its_computer_still_keeps_of_a_gap_is_asked_for() -> None:
    whole = gap("vehicle", 10, 20)
    serves = {(whole.topic, whole.epoch): 15}
    ((gone, _),) = due([whole], T0 + 4 * S, serves).lost
    assert (gone.from_seq, gone.to_seq) == (10, 14)
    assert spans(due([gap("vehicle", 15, 20)], T0 + 4 * S, serves).requests) == [("vehicle", 15, 20)]
