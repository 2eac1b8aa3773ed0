"""What `borderflow collect` is told, in a file or in words, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.centre.config import read_config
from edge.centre.upkeep import _month
from edge.cli import main

GOOD = """
into = "centre.db"
metrics = "127.0.0.1:9101"
[[broker]]
url = "mqtts://broker.example:8883"
client_id = "centre-1"
[[broker]]
url = "mqtt://other.example"
protocol = 4
[[site]]
country = "CA"
port = "0453"
timezone = "America/Toronto"
"""


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(GOOD)
    config = read_config(tmp_path / "c.toml")
    assert [(broker.url, broker.protocol) for broker in config.broker] == [
        ("mqtts://broker.example:8883", 5),
        ("mqtt://other.example", 4),
    ]
    assert config.zones == {("CA", "0453"): ("America/Toronto", "")}
    assert config.client_id == read_config(tmp_path / "c.toml").client_id


@pytest.mark.parametrize(
    ("was", "is_now", "said"),
    [
        ("mqtt://", "http://", "is no broker"),
        ("protocol = 4", "protocol = 3", "broker"),
        ("America/Toronto", "America/Nowhere", "time zone"),
        ("metrics =", "metrik =", "metrik"),
        ('into = "centre.db"', "", "into"),
        ('"centre.db"', "centre.db", "c.toml"),
        ("protocol = 4", 'share = "a"', "client_id that no other"),
        ("protocol = 4", 'protocol = 4\nshare = "a"\nclient_id = "b"', "protocol = 5"),
        ("protocol = 4", 'share = "a/b"\nclient_id = "b"', "is no name"),
        ('"mqtt://other.example"', '"nats://other.example"\nshare = "a"', "without it"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, was: str, is_now: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(GOOD.replace(was, is_now))
    with pytest.raises(ValueError, match=said):
        read_config(tmp_path / "c.toml")


@pytest.mark.parametrize(
    "words",
    [[], ["mqtt://x"], ["--into", "x.db"], ["--config", "none.toml"], ["mqtt://x", "--config", "none.toml"],
     ["http://x", "--into", "x.db"], ["mqtt://:x", "--into", "x.db"]],
)  # fmt: skip
def test_words_that_do_not_fit_end_with_78(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", *words]) == 78


def test_a_database_that_cannot_be_used_ends_with_73(tmp_path: Path) -> None:
    assert main(["collect", "mqtt://127.0.0.1:1", "--into", str(tmp_path / "none" / "x.db")]) == 73


def test_months() -> None:
    at = 1_767_225_600 * 10**9  # 2026-01-01
    assert [_month(at, ahead) for ahead in (0, -1, -13, 11)] == ["2026-01", "2025-12", "2024-12", "2026-12"]
