"""Alarms in the language of a reader: code and args of an alarm in, its text and where to begin out.

Called by the page and `watch`. English is made in edge/alarms/texts.py and edge/alarms/codes.py, beside the code that
raises the alarm; the others are the files of this folder. What a message of another version cannot be made of, is shown
in the words that came with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from edge.alarms.codes import ALARM_CODES
from edge.alarms.texts import TEXTS, text_of


@cache
def catalogue(language: str) -> tuple[dict[str, str], dict[str, str]]:
    """Texts by key, and where to begin by code."""
    if language == "en":
        return TEXTS, {code: meaning.first for code, meaning in ALARM_CODES.items()}
    file = resources.files("edge.words") / f"alarms.{language}.toml"
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return tables["text"], tables["first"]


def said(alarm: Mapping[str, Any], language: str) -> str:
    """The text of an alarm (a message, or an entry of `status`)."""
    texts, _ = catalogue(language)
    code, args = str(alarm["code"]), alarm.get("args") or {}
    known = code in texts or f"{code}.{args.get('case')}" in texts
    if language == "en" or not args or not (known or "held_s" in args):
        return str(alarm["text"])
    return text_of(code, args, texts)


def first(code: str, language: str) -> str:
    """What to look at first; empty for a code that is not known here."""
    return catalogue(language)[1].get(code, "")
