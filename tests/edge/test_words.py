"""What alarms, states and the operator's view say in English, French and Spanish: the same things in each."""

from __future__ import annotations

import io
import string
from typing import Any

import pytest
from lane_messages import alarm, status, wait
from rich.console import Console

from edge.alarm_codes import ALARM_CODES
from edge.alarm_texts import TEXTS, text_of
from edge.alarms import Alarms, Condition
from edge.commands.view import CrossingView
from edge.messages import Site
from edge.words.alarms import catalogue, first, said
from edge.words.values import LANGUAGES, values, word


def fields(template: str) -> set[tuple[str, str]]:
    return {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("language", ["fr", "es"])
def test_every_alarm_is_said_in_every_language(language: str) -> None:
    texts, begin = catalogue(language)
    assert texts.keys() == TEXTS.keys()
    assert begin.keys() == ALARM_CODES.keys()
    for key, template in texts.items():
        assert fields(template) == fields(TEXTS[key]), (language, key)
    same = {key for key, template in texts.items() if template == TEXTS[key]}
    assert same <= {"device_down", "device_silent", "where.sensor"}  # `{where}: {reason}` and a word of both


def test_every_code_has_a_sentence() -> None:
    said_of = {key.partition(".")[0] for key in TEXTS}
    assert said_of >= ALARM_CODES.keys()


def test_every_value_is_said_in_every_language() -> None:
    assert set(LANGUAGES) == {"en", "fr", "es"} == values().keys()
    for language in LANGUAGES:
        assert values()[language].keys() == values()["en"].keys()
        assert all(values()[language].values())
    assert word("fr", "state", "online") == "en ligne"
    assert word("es", "program", "FAST") == "FAST"


def held(**args: Any) -> dict[str, Any]:
    alarms = Alarms(Site("CA", "0453"), "lane-3")
    (begun,) = alarms.set(Condition("device_down", "io", "C03"), True, 0, args=args)
    return {"code": begun.code, "text": begun.text, "args": begun.args}


def test_an_alarm_is_said_from_its_code_and_args() -> None:
    message = held(reason="Connection refused", case="network")
    assert said(message, "en") == message["text"]
    assert said(message, "fr") == (
        "voie C03, appareil io : Connection refused ; vérifiez l’alimentation, le câble et l’adresse"
    )
    assert said(message, "es") == (
        "carril C03, aparato io: Connection refused; revise la alimentación, el cable y la dirección"
    )
    ended = message | {"args": message["args"] | {"held_s": 40}}
    assert said(ended, "fr") == "voie C03, appareil io : rétabli après 40 s"
    assert first("gps_lost", "es") == "la antena y su cable"


def test_what_another_version_says_is_shown_in_its_own_words() -> None:
    message = {"code": "flux_capacitor", "text": "1.21 gigawatts", "args": {"device": "dmc"}}
    assert all(said(message, language) == "1.21 gigawatts" for language in LANGUAGES)
    assert first("flux_capacitor", "fr") == ""
    assert said({"code": "gps_lost", "text": "old, without args"}, "fr") == "old, without args"
    assert text_of("samples_lost", {}, catalogue("fr")[0]) == "code samples_lost"


@pytest.mark.parametrize(("language", "words"), [("en", "critical"), ("fr", "critique"), ("es", "crítica")])
def test_watch_shows_alarms_first_with_their_age(language: str, words: str) -> None:
    import json

    from edge.messages import encode, parse_utc, topic_of

    begun = json.loads(encode(alarm(0))) | {"state": "begin", "severity": "critical", "text": "odd [/] [bold] text"}
    lesser = begun | {"severity": "info", "code": "gps_lost"}
    now_s = parse_utc(begun["time"]) / 1e9 + 300
    view = CrossingView(language=language, clock=lambda: now_s)
    for message in (lesser, begun):
        view.take(topic_of(alarm(0)), message)
    for made in (wait(0), status(0)):
        view.take(topic_of(made), json.loads(encode(made)))
    console = Console(file=io.StringIO(), width=160)
    console.print(view.render())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.index(words) < text.index("gps_lost") < text.index(word(language, "watch", "waits"))
    assert "5 min" in text
    assert "[/]" in text  # what others send is no markup
