"""How a DNS-over-TLS server proves itself where no certificate authority vouches: by a pinned key, or by TLSA records.

The TLSA records of the server are looked up through the connection that is to be proved: they are validated from the
trust anchors, so it does not matter who carries them (RFC 8310 section 8.2). Usage 3 alone is used: the certificate
of the server itself, by key or whole (RFC 7671 section 5.1).
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Final

import dns.name
import dns.rdatatype

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.matching import MatchPolicy, match
from dnsbound.credential.presented import Presented
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Failure, Query, Question, Response
from dnsbound.dns.validator import Validation
from dnsbound.edge.stream_connection import Prove, StreamConnection
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import DnsboundError, Malformed
from dnsbound.iana import Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

_BY_KEY: Final = MatchPolicy(usages=frozenset({Usage.DANE_EE}))

Begin = Callable[[dns.name.Name, dns.rdatatype.RdataType], Validation]
Decided = Callable[[str | None], None]


class Prover:
    """The proofs of one upstream, as `stream_connection.Prove`."""

    def __init__(self, upstream: Upstream, begin: Begin) -> None:
        self._upstream = upstream
        self._begin = begin

    @classmethod
    def for_upstream(cls, upstream: Upstream, begin: Begin) -> Prove | None:
        """What must be proved beyond what ssl does itself; None when nothing."""
        return cls(upstream, begin) if upstream.pins or upstream.tlsa else None

    def __call__(self, connection: StreamConnection, certificate: bytes, decided: Decided) -> None:
        try:
            public = spki_of(certificate)
        except Malformed as malformed:
            decided(f"the server's certificate does not parse: {malformed}")
            return
        if self._upstream.pins:
            pinned = hashlib.sha256(public).digest() in self._upstream.pins
            if not pinned or not self._upstream.tlsa:
                decided(None if pinned else "the server's key is none of the pinned ones")
                return
        assert self._upstream.name is not None
        owner = dns.name.from_text(f"_{self._upstream.port}._tcp.{self._upstream.name}")
        finished = partial(_judge, certificate, self._upstream.name, decided)
        _Errand(connection, self._begin(owner, dns.rdatatype.TLSA), self._upstream.label, finished).proceed()


class _Errand:
    """One validation whose every question goes over one connection."""

    def __init__(
        self, connection: StreamConnection, validation: Validation, label: str, finished: Callable[[Answer], None]
    ) -> None:
        self._connection = connection
        self._validation = validation
        self._label = label
        self._finished = finished
        self._over = False

    def proceed(self) -> None:
        for question in self._validation.questions():
            query = Query(self._connection.free_id(), name_of(question.key), question.rdtype)
            self._connection.ask(query, partial(self._received, question), before_proof=True)
        if self._validation.answer is not None and not self._over:
            self._over = True
            self._finished(self._validation.answer)

    def _received(self, question: Question, result: bytes | OSError) -> None:
        try:
            reply = (
                Failure(f"{self._label}: {result}")
                if isinstance(result, OSError)
                else Response.from_wire(result, source=self._label)
            )
        except Malformed as malformed:
            reply = Failure(str(malformed))
        self._validation.feed(question, reply)
        self.proceed()


def _judge(certificate: bytes, name: str, decided: Decided, answer: Answer) -> None:
    owner = answer.name.to_text()
    if answer.security is not Security.SECURE:
        decided(f"the TLSA records of {owner} are {answer.security}: {answer.detail}")
        return
    if answer.outcome is not Outcome.RECORDS:
        decided(f"{owner} has no TLSA records")
        return
    try:
        _ = match(
            [TLSA.from_wire(rdata.to_wire() or b"") for rdata in answer.records],
            Presented(chain=(certificate,)),
            name=ClientName.parse(name),
            now=answer.validated_at,
            policy=_BY_KEY,
            from_wildcard=answer.wildcard,
        ).matched
    except DnsboundError as refused:
        decided(f"the server's certificate is not the one of {owner} TLSA: {refused}")
        return
    decided(None)
