"""One crossing, two computers, as processes: one has the approach, the other the booths, and a broker stands between.

The one at the booths tells waits that only tokens can have given it; no identity of the truth went over the broker.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest
import tomlkit
from bench import Daemon, Simulator, wait_for
from certificates import Authority
from collector import Collector
from leftovers import files_below, found_in
from mosquitto import MOSQUITTO, Mosquitto

from edge.delivery.identity import new_key

pytestmark = pytest.mark.long

ACL = Path(__file__).parents[2] / "deploy" / "mosquitto" / "acl"


def _configuration(text: str, directory: Path, role: str, port: int, tls: dict[str, str]) -> Path:
    """The simulator's configuration, reduced to the devices of one of the two computers."""
    config = tomlkit.parse(text).unwrap()
    here = {"booth", "exit"} if role == "match" else {"approach", "wim"}
    devices = []
    for device in config["device"]:
        inputs = [i for i in device.get("input", []) if (i.get("point") or "booth") in here]
        if device.get("point") in here or inputs:
            devices.append(device | ({"input": inputs} if inputs else {}))
    config["device"] = devices
    for lane in config["lane"]:
        if role == "match":
            lane.pop("wim", None)
    config["site"].pop("source", None)
    config["identity"]["key_file"] = str(directory / "identity.key")
    config["store"]["path"] = str(directory / role)
    url = f"mqtts://127.0.0.1:{port}"
    config["collector"] = [{"name": "centre", "url": url, "share": ["wait", "status", "sighting"], **tls}]
    config["site_exchange"] = {"role": role, "url": url, **tls}
    file = directory / f"{role}.toml"
    file.write_text(tomlkit.dumps(config))
    return file


@pytest.mark.hil
@pytest.mark.timeout(170)
def test_the_computer_at_the_booths_tells_waits_from_tokens(tmp_path: Path, authority: Authority) -> None:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    server, centre = authority.issue("site-broker"), authority.issue("national-collector")
    mine, world, carried = tmp_path / "mine", tmp_path / "world", tmp_path / "broker"
    for directory in (mine, world, carried):
        directory.mkdir()
    broker = Mosquitto(
        carried,
        f"cafile {authority.ca_file}\ncertfile {server.cert_file}\nkeyfile {server.key_file}\n"
        f"require_certificate true\nuse_identity_as_username true\nacl_file {ACL}",
    )
    broker.start()
    new_key(mine / "identity.key")
    simulator = Simulator(world, "fast-and-standard")
    text = simulator.config.read_text()
    daemons = []
    for role, source in (("match", "booth-computer"), ("send", "approach-computer")):
        issued = authority.issue(source)
        tls = {"ca_file": authority.ca_file, "cert_file": issued.cert_file, "key_file": issued.key_file}
        tls = {key: str(file) for key, file in tls.items()}
        daemon = Daemon(_configuration(text, mine, role, broker.port, tls))
        daemon.log_path = mine / f"{role}.log"
        daemons.append(daemon)
    files = {"ca_file": str(authority.ca_file), "cert_file": str(centre.cert_file), "key_file": str(centre.key_file)}
    try:
        with Collector(broker.port, **files) as collector:
            for daemon in daemons:
                daemon.start()

            def told() -> list[float]:
                waits = [wait for wait in collector.of_kind("wait") if wait["lane"] == "_" and wait["program"] is None]
                medians = [wait["experienced"]["median_s"] for wait in waits if (wait["match_rate"] or 0) > 0]
                return [median_s for median_s in medians if median_s is not None]

            wait_for("three intervals with matched waits", lambda: len(told()) >= 3, 120)
            waits_s = told()
            sources = {wait["source"] for wait in collector.of_kind("wait")}
    finally:
        simulator.stop()
        for daemon in daemons:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()
        broker.kill()
    assert sources == {"booth-computer"}
    truth = [line["wait_s"] for line in simulator.truth if line["kind"] == "wait" and line["wait_s"] is not None]
    assert 0.4 * median(truth) < median(waits_s) < 2.5 * median(truth)
    identities = {str(line[key]) for line in simulator.truth for key in ("tag", "plate", "id") if line.get(key)}
    assert len(identities) > 10
    assert not found_in(files_below(mine, carried), identities)
