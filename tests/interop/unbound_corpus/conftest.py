"""The whole corpus behind one server, and one real Unbound that validates it from the corpus's own root."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Query, Question, Response
from dnsbound.testing.peer_configuration import Stub
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_corpus import Corpus
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zone_situations import Situation
from interop import daemon

Seen = tuple[Security | None, Outcome | None]

REPLY_SECONDS = 10.0

OPTIONS = """\
edns-buffer-size: 1232
ede: yes
# The same windows and the same limit as the validator under test.
val-sig-skew-min: 0
val-sig-skew-max: 0
val-nsec3-keysize-iterations: "1024 100 2048 100 4096 100"
# Each situation is judged by its own records, not by what others left in the cache.
aggressive-nsec: no
harden-below-nxdomain: no
qname-minimisation: no
rrset-roundrobin: no
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    """A running Unbound."""

    port: int
    log: Path

    def look_up(self, question: Question) -> Response:
        """Its response to a query of the validator's: CD is set, it validates nothing."""
        query = Query(1, name_of(question.key), question.rdtype)
        return Response.from_wire(self._exchange(query.to_wire()), source="Unbound")

    def judge(self, situation: Situation) -> Seen:
        """Its own judgement as its clients see it: SERVFAIL, or an outcome with AD (secure) or without."""
        response = self.ask(situation)
        if response.rcode() == dns.rcode.SERVFAIL:
            return None, None
        security = Security.SECURE if response.flags & dns.flags.AD else Security.INSECURE
        if response.rcode() == dns.rcode.NXDOMAIN:
            return security, Outcome.NXDOMAIN
        assert response.rcode() == dns.rcode.NOERROR
        found = any(rrset.rdtype == situation.rdtype for rrset in response.answer)
        return security, Outcome.RECORDS if found else Outcome.NODATA

    def ask(self, situation: Situation) -> dns.message.Message:
        """Its own, validated response to a situation's question."""
        query = dns.message.make_query(situation.question, situation.rdtype, want_dnssec=True)
        query.flags |= dns.flags.AD
        return dns.message.from_wire(self._exchange(query.to_wire()))

    def log_of(self, situation: Situation) -> str:
        """What it wrote about the situation's names."""
        lines = self.log.read_text().splitlines()
        return "\n".join(line for line in lines if f"{situation.name}.corpus." in line)

    def _exchange(self, query: bytes) -> bytes:
        # Octets, not messages: dnspython shuffles the records it writes, and their order is part of a situation.
        with socket.create_connection(("127.0.0.1", self.port), REPLY_SECONDS) as connection:
            connection.sendall(len(query).to_bytes(2) + query)
            with connection.makefile("rb") as stream:
                return stream.read(int.from_bytes(stream.read(2)))


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus.read(Path(__file__).parents[2] / "vectors" / "corpus", now=time.time())


@pytest.fixture(scope="session")
def start_unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Corpus], Unbound]]:
    """Starts an Unbound that validates a corpus; it runs until the session ends."""
    with contextlib.ExitStack() as end:

        def start(corpus: Corpus) -> Unbound:
            answers = ZoneAnswers(corpus.tree.zones)
            server = end.enter_context(serve_zones(lambda packet, udp: answers.respond_wire(packet, udp=udp)))
            # One stub for each zone: a learnt NS would otherwise send Unbound to port 53 of that zone's server.
            stubs = [Stub(zone=zone.origin.to_text(), port=server) for zone in corpus.tree.zones]
            options = [*OPTIONS.splitlines(), *(f"domain-insecure: {name}" for name in corpus.negative_anchors)]
            directory = tmp_path_factory.mktemp("unbound")
            running, port = end.enter_context(
                daemon.unbound(directory, anchors=corpus.anchors, stubs=stubs, options=options)
            )
            return Unbound(port=port, log=running.log)

        yield start


@pytest.fixture(scope="session")
def unbound(corpus: Corpus, start_unbound: Callable[[Corpus], Unbound]) -> Unbound:
    return start_unbound(corpus)
