"""`borderflow bundle`: what a supporter gets, and what never is in it."""

from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path

import pytest
from eyes_bench import EyesBench
from hypothesis import given
from hypothesis import strategies as st

from drivers.events import LinkState
from edge.cli import main
from edge.eyes.redact import GONE, redacted, scrubbed


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for entry in archive:
            stream = archive.extractfile(entry)
            assert stream is not None
            found[entry.name.removeprefix("borderflow-bundle/")] = stream.read().decode()
    return found


def test_a_supporter_gets_state_log_configuration_and_versions(bench: EyesBench, tmp_path: Path) -> None:
    bench.device("tag", LinkState.DOWN, "no answer")
    bench.config_path.write_text(
        bench.config_path.read_text().replace("[store]", "# the PIN is 4711-geheim\n[store]")
        + '[[collector]]\nname = "national"\nurl = "mqtt://lane3:hunter22@127.0.0.1:1883"\n'
    )
    log = tmp_path / "daemon.log"
    log.write_text("connecting to mqtt://lane3:hunter22@127.0.0.1:1883\nanother line with hunter22\n")
    out = tmp_path / "bundle.tar.gz"
    assert main(["bundle", str(out), "--config", str(bench.config_path), "--log", str(log)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    parts = contents(out)
    assert parts.keys() == {"configuration.toml", "check.txt", "state.json", "log.txt", "versions.json"}
    assert json.loads(parts["state.json"])["alarms"][0]["code"] == "device_down"
    assert tomllib.loads(parts["configuration.toml"])["collector"][0]["url"] == f"mqtt://{GONE}@127.0.0.1:1883"
    assert parts["check.txt"].startswith("exit 78\n")
    assert "write username and password_file instead" in parts["check.txt"]
    assert parts["log.txt"].count(GONE) == 2
    assert json.loads(parts["versions.json"])["packages"]["msgspec"]
    key = Path(tomllib.loads(parts["configuration.toml"])["identity"]["key_file"]).read_text().strip()
    for text in parts.values():
        assert not [secret for secret in ("hunter22", "4711", key) if secret in text]


def test_a_bundle_overwrites_nothing_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle.tar.gz"
    config = tmp_path / "lane.toml"
    config.write_text('[store]\npath = "/nonexistent"\npassword = ')
    ask = ["bundle", str(out), "--config", str(config), "--log", str(tmp_path / "no.log")]
    assert main(ask) == 0
    parts = contents(out)
    assert "is not TOML" in parts["configuration.toml"]
    assert "is not TOML" in json.loads(parts["state.json"])["error"]
    assert "cannot be read" in parts["log.txt"]
    assert main(ask) == 73
    assert "name a file that does not exist" in capsys.readouterr().err


CONFIG = """
[[device]]
name = "camera"
url = "http://0.0.0.0:8080/?token={secret}&x=1"
[device.options]
password = "{secret}"
username = "{secret}"
key_file = "/etc/borderflow/identity.key"
[device.options.deep]
api_key = "{secret}"
list = ["https://{secret}@host/"]
"""


@given(st.from_regex(r"[A-Za-z0-9]{8,20}", fullmatch=True))
def test_a_secret_is_nowhere_wherever_it_stands(word: str) -> None:
    secret = f"S3{word}"
    text, taken = redacted(CONFIG.format(secret=secret))
    assert secret not in text
    assert secret in taken
    assert 'key_file = "/etc/borderflow/identity.key"' in text
    assert secret not in scrubbed(f"log: {secret} and https://u:{secret}@h/ and ?token={secret}", taken)


def test_the_healthy_neighbour_stays_as_it_is(bench: EyesBench) -> None:
    text = bench.config_path.read_text()
    shown, taken = redacted(text)
    assert taken == set()
    assert tomllib.loads(shown) == tomllib.loads(text)
