"""How the command ends: by hand, by a broken pipe, by a full disk, with an address that is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.cli import main
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_INTERRUPTED, EXIT_UNREACHABLE
from edge.watch.view import is_message


@pytest.mark.parametrize("url", ["mqtt://127.0.0.1:1", "http://127.0.0.1", "there"])
def test_watch_says_what_is_wrong_with_its_address(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", url]) == EXIT_UNREACHABLE
    assert url in capfd.readouterr().err


def test_what_anybody_publishes_is_no_message() -> None:
    assert not is_message("borderflow/v1/CA/0453/x/C1/wait", {"schema": "borderflow/wait/1"})
    assert not is_message("borderflow/v1/CA/0453/x/C1/status", {"devices": 5})
    assert not is_message("borderflow/v1/short", {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_named() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge", "drivers"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == EXIT_CANNOT_WRITE
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_closed_output_is_no_fault() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -m edge drivers >&-', sys.executable], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_that_is_interrupted_says_that_it_did_not_finish(tmp_path: Path) -> None:
    fifo = tmp_path / "waits.jsonl"  # nobody writes into it: reading does not end
    os.mkfifo(fifo)
    config = tmp_path / "crossing.toml"
    config.write_text(
        '[site]\ncountry = "CA"\nport = "0453"\ntimezone = "America/Toronto"\n'
        '[[lane]]\nid = "C01"\ntraffic = "commercial"\n[[point]]\nname = "approach"\n[[point]]\nname = "booth"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "export", "--config", str(config), "--format", "cbp", str(fifo)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a job in the background ignores it
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == EXIT_INTERRUPTED
    assert "interrupted" in said
