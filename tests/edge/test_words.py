"""What alarms and states say in English, French and Spanish: the same things in each."""

from __future__ import annotations

import string
from typing import Any

import pytest

from edge.alarms import Alarms, Condition
from edge.alarms.codes import ALARM_CODES
from edge.alarms.texts import TEXTS, text_of
from edge.messages import Site
from edge.words.ages import age, ago
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


@pytest.mark.parametrize(
    ("language", "seconds", "short", "fine", "in_a_sentence"),
    [
        ("en", -61, "ahead", "ahead", "ahead"),
        ("en", -3, "0 s", "0 s", "just now"),
        ("en", 59, "59 s", "59 s", "just now"),
        ("en", 119.9, "119 s", "119 s", "119 s ago"),
        ("en", 120, "2 min", "2 min", "2 min ago"),
        ("fr", 7199, "119 min", "119 min", "il y a 119 min"),
        ("es", 11_540, "3 h", "3 h 12 min", "hace 3 h"),
        ("fr", 400_000, "4 j", "4 j 15 h", "il y a 4 j"),
    ],
)
def test_ages_read_as_people_say_them(language: str, seconds: float, short: str, fine: str, in_a_sentence: str) -> None:
    assert (age(seconds, language), age(seconds, language, fine=True)) == (short, fine)
    assert ago(seconds, language) == in_a_sentence
