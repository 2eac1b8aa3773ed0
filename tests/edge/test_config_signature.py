"""Signed configurations: what is not signed, changed, signed by another or older is refused with exit code 78."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from site_text import lane_tables, store_tables

from edge.cli import main
from edge.config import ConfigError
from edge.config.admission import Admission
from edge.config.signature import Highest, Trust, signature_file
from edge.delivery.evidence import new_signing_key
from edge.exit_codes import EXIT_CONFIG

TEXT = lane_tables(site={"source": "edge-1"}) + store_tables()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with the trusted key beside it, and the private key in `authority`."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    public = new_signing_key(tmp_path / "authority")
    (tmp_path / "trust").mkdir()
    trusted = tmp_path / "trust" / "config.pub"
    trusted.write_bytes(public.read_bytes())
    trusted.chmod(0o644)
    config = tmp_path / "borderflow.toml"
    config.write_text(TEXT.format(store=tmp_path / "store"))
    return config


def signed(config: Path, *more: str, key: str = "authority") -> None:
    assert main(["sign", "--config", str(config), "--key", str(config.parent / key), *more]) == 0


def refused(config: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Admission(config, None).load()
    (fault,) = caught.value.faults
    return fault


def test_a_signed_configuration_is_taken_with_its_version(site: Path) -> None:
    signed(site)
    admitted = Admission(site, None)
    assert admitted.load().site.port == "0453"
    assert admitted.version == 1
    signed(site)
    admitted.load()
    assert admitted.version == 2


def test_without_a_trusted_key_nothing_has_to_be_signed(site: Path) -> None:
    (site.parent / "trust" / "config.pub").unlink()
    admitted = Admission(site, None)
    admitted.load()
    assert admitted.version is None


def test_unsigned(site: Path) -> None:
    assert "takes signed configurations only" in refused(site)


def test_changed_after_it_was_signed(site: Path) -> None:
    signed(site)
    site.write_text(site.read_text().replace("0453", "0454"))
    assert "does not belong to" in refused(site)


@pytest.mark.parametrize("change", [{"version": 9}, {"time": "2030-01-01T00:00:00Z"}, {"signature": "00" * 64}])
def test_nothing_of_the_signature_can_be_changed(site: Path, change: dict[str, object]) -> None:
    signed(site)
    path = signature_file(site)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert "does not belong to" in refused(site)


def test_signed_by_somebody_else(site: Path) -> None:
    new_signing_key(site.parent / "stranger")
    signed(site, key="stranger")
    assert "somebody else" in refused(site)


def test_a_key_is_replaced_without_a_gap(site: Path) -> None:
    new_signing_key(site.parent / "next")
    trusted = site.parent / "trust" / "config.pub"
    trusted.write_bytes(trusted.read_bytes() + (site.parent / "next.pub").read_bytes())
    for key in ("authority", "next"):
        signed(site, key=key)
        Admission(site, None).load()


def test_an_older_one_is_refused_after_a_newer_one_ran(site: Path) -> None:
    signed(site)
    old = (site.read_bytes(), signature_file(site).read_bytes())
    signed(site, "--version", "7")
    admitted = Admission(site, None)
    admitted.keep(admitted.load())
    Admission(site, None).load()  # the same again
    site.write_bytes(old[0])
    signature_file(site).write_bytes(old[1])
    assert "version 7 ran here already" in refused(site)
    assert "--version 8" in refused(site)


def test_another_store_in_an_old_configuration_does_not_help(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(site.parent / "state"))
    site.write_text(site.read_text().replace("/store", "/other"))
    signed(site, "--version", "3")
    old = (site.read_bytes(), signature_file(site).read_bytes())
    site.write_text(site.read_text().replace("/other", "/store"))
    signed(site)
    admitted = Admission(site, None)
    admitted.keep(admitted.load())
    site.write_bytes(old[0])
    signature_file(site).write_bytes(old[1])
    assert "version 4 ran here already" in refused(site)


def test_a_trusted_key_that_others_may_change_is_none(site: Path) -> None:
    signed(site)
    (site.parent / "trust" / "config.pub").chmod(0o666)
    assert "others may change it" in refused(site)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_trust_file_without_a_key_admits_nothing(site: Path, content: bytes) -> None:
    signed(site)
    (site.parent / "trust" / "config.pub").write_bytes(content)
    assert "public key in PEM" in refused(site)


def test_a_named_trust_file_that_is_missing_admits_nothing(site: Path) -> None:
    signed(site)
    with pytest.raises(ConfigError, match="cannot be read"):
        Admission(site, site.parent / "none.pub").load()


def test_a_trust_link_that_leads_nowhere_admits_nothing(site: Path) -> None:
    trusted = site.parent / "trust" / "config.pub"
    trusted.unlink()
    trusted.symlink_to(site.parent / "gone")
    assert "cannot be read" in refused(site)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), st.builds(lambda t: json.dumps(t).encode(), st.text(max_size=50))))
def test_any_bytes_in_place_of_a_signature_are_a_fault(site: Path, data: bytes) -> None:
    signature_file(site).write_bytes(data)
    assert "is no signature" in refused(site)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(version=st.integers(), time=st.text(max_size=40), signature=st.text(max_size=130))
def test_any_signature_is_a_fault(site: Path, version: int, time: str, signature: str) -> None:
    trust = Trust(site.parent / "trust" / "config.pub")
    signature_file(site).write_text(json.dumps({"version": version, "time": time, "signature": signature}))
    with pytest.raises(ConfigError):
        trust.check(site, site.read_bytes())


def test_only_a_valid_configuration_is_signed(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.write_text(site.read_text().replace("commercial", "comercial"))
    assert main(["sign", "--config", str(site), "--key", str(site.parent / "authority")]) == EXIT_CONFIG
    assert "lane[C03].traffic" in capsys.readouterr().err
    assert not signature_file(site).exists()


def test_a_spoilt_version_is_told(site: Path) -> None:
    (site.parent / "store").mkdir()
    (site.parent / "store" / "config.version").write_text("seven")
    with pytest.raises(ConfigError, match="holds no version"):
        Highest(site.parent / "store").check(site, 1)


def test_the_daemon_refuses_and_keeps_the_version(site: Path) -> None:
    """As systemd starts it: unsigned ends with 78; signed runs; a worse file is not taken at a reload."""
    command = [sys.executable, "-m", "edge", "run", "--config", str(site)]
    unsigned = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert unsigned.returncode == EXIT_CONFIG
    assert "takes signed configurations only" in unsigned.stderr
    signed(site, "--version", "5")
    log = site.with_name("log")
    with log.open("wb") as file, subprocess.Popen(command, stderr=file) as daemon:
        try:
            _until(lambda: (site.parent / "store" / "config.version").exists())
            _until(lambda: "collectors" in log.read_text())
            site.write_text(site.read_text() + "\n# by a stranger\n")
            daemon.send_signal(1)
            _until(lambda: "not reloaded" in log.read_text())
            assert daemon.poll() is None
        finally:
            daemon.terminate()
    assert (site.parent / "store" / "config.version").read_text() == "5\n"
    signed(site, "--version", "4")
    older = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (older.returncode, "version 5 ran here already" in older.stderr) == (EXIT_CONFIG, True)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, os.getloadavg()
        time.sleep(0.05)
