"""What a configuration makes before anything of it runs: keys, seals, signatures, the site exchange.

In: a checked configuration; out: its parts as objects, or the error that names the file that cannot be used. Called by
the daemon at its start and, while another configuration runs, at a reload.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge import config as cfg
from edge.config.rules import rotation_s
from edge.daemon.parts import EXCHANGE, Parts, parts_of
from edge.daemon.troubles import Troubles
from edge.delivery.evidence import Signer
from edge.delivery.identity import Pseudonyms, read_secret
from edge.delivery.sealing import Sealer
from edge.exchange.codec import local_sightings
from edge.exchange.link import SiteExchange
from edge.exchange.tokens import ExchangeKeys
from edge.machine.name import source_name
from edge.waiting.sightings import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Of one configuration. Another `[identity]` needs a new process, so `keys` are those of its beginning."""

    config: cfg.Config
    parts: Parts
    keys: ExchangeKeys | None  # of tokens; None where no secret is configured
    exchange: SiteExchange | None
    sealers: dict[str, Sealer]  # by collector: one for each authority that gets plates and tags
    signer: Signer | None

    @property
    def carry(self) -> Callable[[Sighting], Sequence[Sighting]] | None:
        """What the waits take of a sighting: what is kept has no identity in clear."""
        if self.exchange is not None:
            return self.exchange.carry
        return partial(local_sightings, keys=self.keys) if self.keys is not None else None


def build(
    config: cfg.Config, before: Built | None, *, deliver: Callable[[Sighting], None], troubles: Troubles
) -> Built:
    """IdentityError for a file that cannot be used. What is the same as `before` goes on in it."""
    source = source_name(config)
    parts = parts_of(config, source)
    if before is not None and before.parts.get(EXCHANGE) == parts.get(EXCHANGE):
        exchange = before.exchange
    elif config.site_exchange is not None:
        on_alarm = partial(troubles.of_broker, config.site_exchange.url)
        exchange = SiteExchange(config, source, deliver=deliver, on_alarm=on_alarm)
    else:
        exchange = None
    sealed = (of for of in config.collector if of.identifier_key_file is not None)
    return Built(
        config=config,
        parts=parts,
        keys=before.keys if before is not None else _keys_of(config.identity),
        exchange=exchange,
        sealers={of.name: Sealer(of.identifier_key_file) for of in sealed if of.identifier_key_file is not None},
        signer=Signer(config.evidence.key_file) if config.evidence is not None else None,
    )


def pseudonyms_of(config: cfg.Config) -> Pseudonyms | None:
    identity = config.identity
    return Pseudonyms(Path(identity.key_file), identity.rotation) if identity is not None else None


def _keys_of(identity: cfg.Identity | None) -> ExchangeKeys | None:
    if identity is None:
        return None
    return ExchangeKeys(read_secret(Path(identity.key_file)), rotation_s(identity.rotation) * 1_000_000_000)


def try_for_new_process(config: cfg.Config) -> None:
    """What a new process would end of at once, this one says; IdentityError, OSError."""
    pseudonyms_of(config)
    store = Path(config.store.path)
    store.mkdir(parents=True, exist_ok=True)
    if not os.access(store, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(store))
