"""The validator alone on recorded messages: no network and no kept answers; parsing the messages is included.

Zone keys known: as for every answer after the first one from a zone. From the root down: nothing is known, three zones.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import dns.name
import dns.rdatatype
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.rounds import least, seconds_each
from bench.table import Table
from dnsbound import limits
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.cache import EvidenceCache
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Query, Question, Reply, Response
from dnsbound.dns.validator import Validation, validate
from dnsbound.testing import World

PRESENT = "car54._device.cars.example"
ABSENT = "car55._device.cars.example"
TTL = 3600


@dataclass(frozen=True, slots=True)
class Recording:
    """One lookup and the messages that answer it."""

    name: dns.name.Name
    anchors: TrustAnchors
    now: float
    messages: dict[Question, bytes] = field(default_factory=dict)

    def begin(self, store: EvidenceCache | None) -> Validation:
        return Validation(self.name, dns.rdatatype.TLSA, anchors=self.anchors, now=self.now, store=store)

    def read(self, question: Question) -> Reply:
        return Response.from_wire(self.messages[question], source="the recording")

    def judge(self, store: EvidenceCache | None) -> Answer:
        return validate(self.begin(store), self.read)

    def signature_checks(self, store: EvidenceCache | None) -> int:
        validation = self.begin(store)
        validate(validation, self.read)
        return limits.SIGNATURE_CHECKS.default - validation._work.signatures.left  # noqa: SLF001 (what it spent)


def measure(repeats: int, rounds: int) -> Table:
    """Microseconds of CPU per answer."""
    with World() as world:
        world.organisation("cars.example").device("car54", ttl=TTL)
        recordings = [
            ("TLSA record", _record(world, PRESENT, Outcome.RECORDS)),
            ("denial (RFC 9824)", _record(world, ABSENT, Outcome.NXDOMAIN)),
        ]
    table = Table("Validator on recorded messages", ["answer", "start", "us", "signatures", "messages"])
    work: dict[str, Callable[[], float]] = {"bare": partial(seconds_each, _bare_verification(), repeats)}
    about: dict[str, tuple[str, str, int, int]] = {}
    for label, recording in recordings:
        warm = EvidenceCache()
        recording.judge(warm)
        for start, store in (("zone keys known", warm), ("from the root down", None)):
            key = f"{label}, {start}"
            messages = 1 if store else len(recording.messages)
            about[key] = (label, start, recording.signature_checks(store), messages)
            work[key] = partial(seconds_each, partial(recording.judge, store), repeats)
    best = least(work, rounds)
    for key, (label, start, signatures, messages) in about.items():
        table.row(label, start, f"{best[key] * 1e6:.0f}", str(signatures), str(messages))
    table.note(f"One P-256 verification by cryptography in the same run: {best['bare'] * 1e6:.0f} us.")
    return table


def _record(world: World, name: str, outcome: Outcome) -> Recording:
    """Ask World's resolver whatever the validator wants to know."""
    recording = Recording(dns.name.from_text(name), world.anchors, time.time())
    address = (world.resolver_address.host, world.resolver_address.port)

    def ask(question: Question) -> Reply:
        query = Query(len(recording.messages), name_of(question.key), question.rdtype)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as network:
            network.settimeout(5)
            network.sendto(query.to_wire(), address)
            recording.messages[question] = network.recv(4096)
        return recording.read(question)

    answer = validate(recording.begin(None), ask)
    if (answer.security, answer.outcome) != (Security.SECURE, outcome):
        raise RuntimeError(f"{name}: {answer.security.value}, {answer.outcome.value}: {answer.detail}")
    return recording


def _bare_verification() -> Callable[[], object]:
    key, message, algorithm = ec.generate_private_key(ec.SECP256R1()), b"RRset", ec.ECDSA(hashes.SHA256())
    return partial(key.public_key().verify, key.sign(message, algorithm), message, algorithm)
