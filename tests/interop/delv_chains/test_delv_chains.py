"""BIND's validator, in delv, fed by nothing but the records of a chain that we built: what it needs is in there.

The server below knows one chain for each situation and answers every question from it alone; it signs nothing and looks
nothing up. Denials are left out: delv wants an SOA record beside them, which no chain carries.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.exception
import dns.message
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.chain_building import ChainBuilding
from dnsbound.dns.validator import validate
from dnsbound.testing.peer_configuration import delv_anchors
from dnsbound.testing.zone_corpus import Corpus
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zone_situations import Situation, read_situations
from interop.chain_answers import ChainAnswers
from interop.daemon import program, run

pytestmark = pytest.mark.peer("delv")

DIRECTORY = Path(__file__).parents[2] / "vectors" / "corpus"
TWO_KEYS_WITH_ONE_TAG = {"twin-tags", "twin-tags-second-signs"}
"""delv gives up at the first key of the tag that did not sign; live too (see `delv_corpus`)."""
SITUATIONS = [
    situation
    for situation in read_situations(DIRECTORY)
    if not situation.anchor
    and situation.name not in TWO_KEYS_WITH_ONE_TAG
    and (situation.expected.security, situation.expected.outcome) == (Security.SECURE, Outcome.RECORDS)
]
SECONDS = 60.0
AT_ONCE = 2
FULLY_VALIDATED = re.compile(r"^; fully validated$", re.MULTILINE)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What delv wrote about each situation, by name."""
    corpus = Corpus.read(DIRECTORY, now=time.time())
    anchors = tmp_path_factory.mktemp("delv") / "anchors.conf"
    anchors.write_text(delv_anchors(TrustAnchors.from_text(corpus.tree.anchors())))
    with ThreadPoolExecutor(AT_ONCE) as at:
        texts = at.map(lambda situation: _delv(corpus, situation, anchors), SITUATIONS)
        return dict(zip((situation.name for situation in SITUATIONS), texts, strict=True))


def _delv(corpus: Corpus, situation: Situation, anchors: Path) -> str:
    building = ChainBuilding(situation.question, situation.rdtype, anchors=corpus.trust_anchors, now=corpus.signed_at)
    validate(building, corpus.look_up)
    answers = ChainAnswers(building.chain())

    def respond(packet: bytes, udp: bool) -> bytes | None:
        del udp
        try:
            return answers.respond(dns.message.from_wire(packet)).to_wire(max_size=65_535)
        except dns.exception.DNSException:
            return None

    with serve_zones(respond) as port:
        done = run(
            [
                *(program("delv"), "-a", str(anchors), "+root=.", "+tcp", "@127.0.0.1", "-p", str(port)),
                *(situation.question.to_text(), dns.rdatatype.to_text(situation.rdtype)),
            ],
            seconds=SECONDS,
        )
    return done.stdout + done.stderr


def test_there_are_many() -> None:
    assert len(SITUATIONS) > 60
    assert any(situation.wildcard for situation in SITUATIONS)
    assert any(situation.aliases for situation in SITUATIONS)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_delv_needs_nothing_but_the_chain(situation: Situation, said: dict[str, str]) -> None:
    text = said[situation.name]
    assert FULLY_VALIDATED.search(text), text
    assert "unsigned answer" not in text
    assert "resolution failed" not in text
