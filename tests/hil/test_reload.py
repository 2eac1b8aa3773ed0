"""The daemon as a process is told to reload: same process, no gap in `seq`; a wrong file changes nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench import Daemon, wait_for
from busy_reader import BusyReader, busy_configuration
from collecting import CollectingClient
from mosquitto import Mosquitto

ROOT = "borderflow/v1/CA/0453/lane-1"
SIGHTINGS = f"{ROOT}/C03/sighting"


def reload(config: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "edge", "reload", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.hil
@pytest.mark.timeout(180)
def test_reload_in_place(tmp_path: Path, plain_broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = {point: BusyReader(10.0) for point in ("approach", "booth")}
    config = busy_configuration(tmp_path, readers, f'url = "mqtt://127.0.0.1:{plain_broker.port}"')
    good = config.read_text()
    daemon = Daemon(config)
    heard = CollectingClient(plain_broker.port)
    assert reload(config)[0] == 69
    daemon.start()
    assert daemon.process is not None
    try:
        wait_for("sightings", lambda: len(heard.bodies("sighting")) > 20, 60)

        config.write_text(good.replace("max_bytes", "most_bytes"))
        code, said = reload(config)
        assert (code, "store.most_bytes: unknown key" in said, "goes on as before" in said) == (78, True, True)
        before = len(heard.bodies("sighting"))
        wait_for("sightings go on", lambda: len(heard.bodies("sighting")) > before + 10, 10)

        # A device goes, a collector comes, a baseline is given.
        first, second = good.index("[[device]]"), good.index("[[device]]", good.index("[[device]]") + 1)
        fewer = good[:first] + good[second:].replace(
            "[store]",
            f'[[collector]]\nname = "operator"\nurl = "mqtt://127.0.0.1:{plain_broker.port}"\nprotocol = 4\n'
            'share = ["wait"]\n[wait]\ninterval_s = 5\nbaseline = { standard = 300 }\n[store]',
        )
        config.write_text(fewer)
        code, said = reload(config)
        assert code == 0, said
        assert {"device plate-approach: gone", "collector operator: new", "wait: changed"} <= set(said.splitlines())
        wait_for("the new interval", lambda: heard.bodies("wait"), 30)
        points = [body["point"] for body in heard.bodies("sighting")[-10:]]
        assert set(points) == {"booth"}

        # And back; the collector of before is not disturbed by any of it.
        config.write_text(good)
        assert reload(config)[0] == 0
        wait_for("both", lambda: {b["point"] for b in heard.bodies("sighting")[-10:]} == {"approach", "booth"}, 20)
        assert daemon.process.poll() is None
        assert daemon.log().count("lanes, 2 devices") == 1, "one process all the time"

        # What a new process could not take is refused by this one.
        config.write_text(good.replace("identity.key", "no.key"))
        code, said = reload(config)
        assert (code, "no.key" in said, "goes on as before" in said) == (78, True, True)

        # Where nobody starts it anew, it begins anew by itself: same process.
        config.write_text(good.replace("[site]", '[site]\nname = "Bridge"'))
        code, said = reload(config)
        assert (code, f"began anew (process {daemon.process.pid})" in said) == (0, True), said
        assert "[site] changed, which only a new process takes" in daemon.log()
        before = len(heard.bodies("sighting"))
        wait_for("sightings go on", lambda: len(heard.bodies("sighting")) > before + 10, 20)
        assert heard.bodies("status")[-1]["site_name"] == "Bridge"
        assert daemon.process.poll() is None
        assert daemon.log().count("lanes, 2 devices") == 2
        assert daemon.stop() == 0

        # Under a service manager it ends, in order, to be started by that.
        monkeypatch.setenv("NOTIFY_SOCKET", "@nobody listens")
        daemon.start()
        wait_for("it runs", lambda: reload(config)[0] == 0, 30)
        config.write_text(good)
        code, said = reload(config)
        assert (code, "ended" in said) == (0, True)
        assert daemon.process.wait(20) == 0
        assert "Traceback" not in daemon.log()
        time.sleep(0.5)
        seqs = heard.seqs()[SIGHTINGS]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    finally:
        heard.close()
        for reader in readers.values():
            reader.close()
        if daemon.process.poll() is None:
            daemon.kill()
