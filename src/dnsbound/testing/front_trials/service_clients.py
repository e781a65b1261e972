"""One client of a service under trial: what it brings, and what came of it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from dnsbound.testing.front_trials.clients import TLS_1_3


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a client brings.

    credential: PEM file with its key and certificates, or nothing. name: who it says it is, where the protocol has a
    word for that. forged: another's name for every field of its request that tells who sent it; empty for none.
    """

    credential: Path | None
    name: str
    version: ssl.TLSVersion = TLS_1_3
    forged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of it. words: for people. name: as whom the service served the client; None where it did not."""

    words: str
    name: str | None = None
