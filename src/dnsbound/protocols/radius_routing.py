"""Which worker process of one RADIUS server a request belongs to, so that each sees whole conversations.

A request that carries State, or Class in accounting, goes to the worker that gave it out: the value's first octet says
which, hidden by a digest of the rest. Any other request goes by a digest of where it came from, its identifier and its
authenticator: a retransmission meets the worker that saw the first, and a single busy proxy is spread over all workers.
Both digests are keyed, so that nobody outside chooses the worker that has to look at a forged request.

This is no check of anything. Whoever gets a request checks it in full, and a State that belongs to no conversation
there is refused there. Nothing but the header and the attributes' frames is read here.

Sections: RFC 2865 sections 2.5, 5.24 and 5.25.
"""

from hashlib import blake2b
from typing import Final

from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import RADIUS_ATTRIBUTES, WORKERS

RANDOM_OCTETS: Final = 16
"""Of a State or a Class, behind the octet that names the worker: 128 bits that nobody guesses."""
MARK_OCTETS: Final = 1 + RANDOM_OCTETS
SEAL_OCTETS: Final = 16
"""Behind the mark of a Class (`dnsbound.protocols.radius_class`)."""
KEY_OCTETS: Final = 32

_HEADER: Final = 20
_IDENTIFIER_AT: Final = slice(1, 2)
_AUTHENTICATOR_AT: Final = slice(4, _HEADER)
_CARRIED_BY: Final = {
    int(RadiusCode.ACCESS_REQUEST): int(RadiusAttribute.STATE),
    int(RadiusCode.ACCOUNTING_REQUEST): int(RadiusAttribute.CLASS),
}
"""Table: the attribute that names the worker, by code of the request; in all others none does."""


class RadiusRouting:
    """Of a server with `workers` processes, which all have the same key."""

    __slots__ = ("_key", "_workers")

    def __init__(self, workers: int, key: bytes) -> None:
        """key: KEY_OCTETS octets that nobody else knows."""
        if WORKERS.checked(workers) < 1 or len(key) != KEY_OCTETS:
            raise Misuse(f"requests are routed to one worker at least, by a key of {KEY_OCTETS} octets")
        self._workers: Final = workers
        self._key: Final = key

    def marked(self, worker: int, random: bytes) -> bytes:
        """A State or Class by which `worker` is found. random: RANDOM_OCTETS fresh octets."""
        if not 0 <= worker < self._workers or len(random) != RANDOM_OCTETS:
            raise Misuse(f"{len(random)} octets do not name worker {worker} of {self._workers}")
        return bytes((worker ^ self._mask(random),)) + random

    def named_by(self, value: bytes) -> int | None:
        """The worker that a State or Class names; None for one of another server, or of another key."""
        if len(value) not in (MARK_OCTETS, MARK_OCTETS + SEAL_OCTETS):
            return None
        worker = value[0] ^ self._mask(value[1:MARK_OCTETS])
        return worker if worker < self._workers else None

    def worker_for(self, request: bytes, address: str, port: int) -> int:
        """Where a request belongs that came from there; octets that are no request, too, always go somewhere."""
        attribute = _CARRIED_BY.get(request[0]) if request else None
        if attribute is not None:
            for value in _values(request, attribute):
                worker = self.named_by(value)
                if worker is not None:
                    return worker
        what = b"%s %d " % (address.encode(), port) + request[_IDENTIFIER_AT] + request[_AUTHENTICATOR_AT]
        digest = blake2b(what, digest_size=8, key=self._key, person=b"new").digest()
        return int.from_bytes(digest, "big") % self._workers

    def _mask(self, random: bytes) -> int:
        return blake2b(random, digest_size=1, key=self._key, person=b"mark").digest()[0]


def _values(request: bytes, attribute: int) -> list[bytes]:
    """Values of an attribute, up to the first octet that is no attribute's."""
    values = []
    at, end = _HEADER, min(len(request), int.from_bytes(request[2:4], "big"))
    for _ in range(RADIUS_ATTRIBUTES.default):
        length = request[at + 1] if at + 2 <= end else 0
        if length < 2 or at + length > end:
            break
        if request[at] == attribute:
            values.append(request[at + 2 : at + length])
        at += length
    return values
