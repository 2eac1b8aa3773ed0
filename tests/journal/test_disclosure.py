"""Configuration and pipeline of sealed identifiers and of signed heads, from a reader's event to the messages."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from samples import TIME_NS

from drivers.events import PlateRead
from edge import config as cfg
from edge.config.file import load
from edge.crossing import Crossing
from edge.delivery.identity import Pseudonyms, new_key
from edge.delivery.sealing import Sealer, unseal
from edge.messages import Identifier, Sighting

HEAD = """
[site]
country = "CA"
port = "0453"
[[lane]]
id = "C03"
traffic = "commercial"
[[point]]
name = "approach"
[[device]]
name = "lpr"
driver = "lpr_frame"
url = "tcp://127.0.0.1:1"
lane = "C03"
point = "approach"
"""


def test_a_plate_leaves_as_pseudonym_and_sealed_to_the_authority(tmp_path: Path) -> None:
    key = X25519PrivateKey.generate()
    public = tmp_path / "authority.pub"
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    new_key(tmp_path / "identity.key")
    file = tmp_path / "borderflow.toml"
    file.write_text(
        f'{HEAD}[identity]\nkey_file = "{tmp_path}/identity.key"\n[[collector]]\nname = "police"\n'
        f'url = "mqtt://h"\nshare = ["identifier"]\nidentifier_key_file = "{public}"\n'
        f'[[collector]]\nname = "national"\nurl = "mqtt://h"\n'
    )
    config = load(file, live=True)
    crossing = Crossing(
        config, source="edge-1", pseudonyms=Pseudonyms(tmp_path / "identity.key"), sealers=[Sealer(public)]
    )
    seen, sealed = crossing.event(PlateRead(device="lpr", time_ns=TIME_NS, plate="AB123C", confidence=0.9))
    assert isinstance(seen, Sighting)
    assert isinstance(sealed, Identifier)
    assert sealed.pseudonym == seen.pseudonym
    assert unseal(sealed, key) == "AB123C"
    assert b"AB123C" not in msgspec.json.encode([seen, sealed])
    assert "identifier" not in config.collector[1].share  # never by default


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('share = ["identifier"]', 'collector[a].identifier_key_file: goes with "identifier" in share'),
        ('identifier_key_file = "x.pub"', 'collector[a].identifier_key_file: goes with "identifier" in share'),
        ('[evidence]\nkey_file = "/none/sign.key"', "evidence.key_file: /none/sign.key cannot be read"),
        ('[evidence]\nkey_file = "x"\ninterval_s = 1', "evidence.interval_s: 1 is outside 10 .. 86400"),
    ],
)
def test_half_of_a_configuration_is_a_fault(tmp_path: Path, lines: str, words: str) -> None:
    file = tmp_path / "borderflow.toml"
    file.write_text(f'{HEAD}[[collector]]\nname = "a"\nurl = "mqtt://h"\n{lines}\n')
    with pytest.raises(cfg.ConfigError) as caught:
        load(file, live=True)
    assert any(words in fault for fault in caught.value.faults), caught.value.faults
