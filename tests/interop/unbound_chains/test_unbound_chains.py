"""Unbound as a validating stub of a server that knows nothing but our chains: it judges them as we do.

Records, denials, wildcards, aliases and insecure delegations alike. One server stands for all chains of the corpus: the
zone asked about says which chain answers.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import pytest

from dnsbound.dns.answer import Security
from dnsbound.dns.chain_building import BuiltChain, ChainBuilding
from dnsbound.dns.validator import validate
from dnsbound.testing.peer_configuration import unbound_text
from dnsbound.testing.zone_corpus import Corpus
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zone_situations import Situation, read_situations
from interop import daemon
from interop.chain_answers import ChainAnswers

pytestmark = pytest.mark.peer("unbound")

DIRECTORY = Path(__file__).parents[2] / "vectors" / "corpus"
KNOWN_DIFFERENCES = {one.name for one in read_situations(DIRECTORY) if one.differs is not None}
"""Where Unbound reads the standards in another way, live as well; the reasons stand in the corpus."""
SITUATIONS = [
    one
    for one in read_situations(DIRECTORY)
    if one.expected.security in (Security.SECURE, Security.INSECURE)
    and not one.anchor
    and one.name not in KNOWN_DIFFERENCES
]
OPTIONS = [
    "do-not-query-localhost: no",
    "val-sig-skew-min: 0",
    "val-sig-skew-max: 0",
    'val-nsec3-keysize-iterations: "1024 100 2048 100 4096 100"',
    "aggressive-nsec: no",
    "harden-below-nxdomain: no",
]
FORWARD = "forward-zone:\n    name: .\n    forward-addr: 127.0.0.1@{port}\n"
UDP_OCTETS = 1200
SECONDS = 20.0
TOP_LABELS = 3
"""Of a name below a situation's zone: its own labels, then the situation, `corpus` and the root."""


class AllChains:
    """The chains of all situations behind one server."""

    def __init__(self, corpus: Corpus) -> None:
        self._of = {situation.origin: ChainAnswers(chain_of(corpus, situation)) for situation in SITUATIONS}
        self._any = next(iter(self._of.values()))

    def respond_wire(self, packet: bytes, udp: bool) -> bytes | None:
        try:
            query = dns.message.from_wire(packet)
        except dns.exception.DNSException:
            return None
        name = query.question[0].name
        origin = name.split(min(len(name), TOP_LABELS))[1]
        response = self._of.get(origin, self._any).respond(query)
        octets = response.to_wire(max_size=65_535)
        if not udp or len(octets) <= UDP_OCTETS:
            return octets
        response.answer, response.authority = [], []
        response.flags |= dns.flags.TC
        return response.to_wire()


def chain_of(corpus: Corpus, situation: Situation) -> BuiltChain:
    building = ChainBuilding(situation.question, situation.rdtype, anchors=corpus.trust_anchors, now=corpus.signed_at)
    validate(building, corpus.look_up)
    return building.chain()


Ask = Callable[[Situation], dns.message.Message]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Puts a situation's question to Unbound."""
    corpus = Corpus.read(DIRECTORY, now=time.time())
    chains = AllChains(corpus)
    directory = tmp_path_factory.mktemp("unbound")
    (directory / "anchors.txt").write_text(corpus.tree.anchors())
    with serve_zones(chains.respond_wire) as server:
        port = daemon.free_port()
        text = unbound_text(directory=directory, port=port, stubs=[], options=OPTIONS)
        (directory / "unbound.conf").write_text(text + FORWARD.format(port=server))
        command = [daemon.program("unbound"), "-d", "-c", str(directory / "unbound.conf")]
        with daemon.started(command, directory / "unbound.log") as running:
            running.wait_for(partial(answers, port), "it answers")
            yield partial(asked, port)


def answers(port: int) -> bool:
    return bool(daemon.ask(port, "localhost", "A").answer)


def asked(port: int, situation: Situation) -> dns.message.Message:
    query = dns.message.make_query(situation.question, situation.rdtype, want_dnssec=True)
    query.flags |= dns.flags.AD
    return dns.query.tcp(query, "127.0.0.1", port=port, timeout=SECONDS)


def test_there_are_many_of_each_kind() -> None:
    secure = [one for one in SITUATIONS if one.expected.security is Security.SECURE]
    assert len(secure) > 100
    assert len(SITUATIONS) - len(secure) > 25
    assert {one.expected.outcome for one in secure} == {one.expected.outcome for one in SITUATIONS}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_unbound_needs_nothing_but_the_chain(situation: Situation, ask: Ask) -> None:
    response = ask(situation)
    assert response.rcode() != dns.rcode.SERVFAIL, response
    assert bool(response.flags & dns.flags.AD) is (situation.expected.security is Security.SECURE), response
