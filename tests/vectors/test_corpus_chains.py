"""A chain is built for every situation of the corpus that a chain can show, and judged it says what the lookup said."""

from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from dnsbound.dns.answer import Answer, Security
from dnsbound.dns.chain import AuthenticationChain
from dnsbound.dns.chain_building import BuiltChain, ChainBuilding
from dnsbound.dns.chain_judging import judge_chain
from dnsbound.dns.validator import validate
from dnsbound.errors import LimitExceeded, Misuse, Reason, Undecided
from dnsbound.testing.zone_corpus import Corpus
from dnsbound.testing.zone_situations import Situation, read_situations

DIRECTORY = Path(__file__).parent / "corpus"
SITUATIONS = list(read_situations(DIRECTORY))
SHOWN = [one for one in SITUATIONS if one.expected.security in (Security.SECURE, Security.INSECURE)]
HIDDEN = [one for one in SITUATIONS if one not in SHOWN]
SIGNED_AT = 1_800_000_000.0
DIGESTS = (1, 2, 4)
EVERYTHING = dns.dnssec.allow_all_policy


def named(situation: Situation) -> str:
    return situation.name


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.read(DIRECTORY, now=SIGNED_AT)


def looked_up(corpus: Corpus, situation: Situation) -> tuple[ChainBuilding, Answer]:
    building = ChainBuilding(situation.question, situation.rdtype, anchors=corpus.trust_anchors, now=corpus.signed_at)
    return building, validate(building, corpus.look_up)


def built(corpus: Corpus, situation: Situation) -> tuple[BuiltChain, Answer]:
    building, live = looked_up(corpus, situation)
    return building.chain(), live


def judged(corpus: Corpus, situation: Situation, octets: bytes, now: float = SIGNED_AT) -> Answer:
    return judge_chain(octets, situation.question, situation.rdtype, anchors=corpus.trust_anchors, now=now)


def said(answer: Answer) -> tuple[object, ...]:
    if answer.security is not Security.SECURE:
        return (answer.security,)
    return answer.security, answer.outcome, set(answer.records), answer.aliases, answer.wildcard


def test_the_corpus_is_about_both() -> None:
    assert len(SHOWN) > 140
    assert len(HIDDEN) > 100


@pytest.mark.parametrize("situation", SHOWN, ids=named)
def test_the_chain_says_what_the_lookup_said(situation: Situation, corpus: Corpus) -> None:
    chain, live = built(corpus, situation)
    assert said(live) == said(corpus.judge(situation))
    assert said(judged(corpus, situation, chain.octets)) == said(live)
    assert said(chain.answer) == said(live)
    assert chain.valid_until <= live.valid_until
    if live.security is Security.SECURE:
        again = judged(corpus, situation, chain.octets)
        assert again.earliest_expiry is not None
        assert chain.valid_until <= again.earliest_expiry
        assert judged(corpus, situation, chain.octets, again.earliest_expiry + 1).security is Security.BOGUS
        assert again.signed_at is not None
        assert again.signed_at <= SIGNED_AT


@pytest.mark.parametrize("situation", HIDDEN, ids=named)
def test_what_does_not_validate_makes_no_chain(situation: Situation, corpus: Corpus) -> None:
    building, live = looked_up(corpus, situation)
    expected = {
        Security.BOGUS: {Reason.BOGUS},
        Security.INDETERMINATE: {Reason.INDETERMINATE, Reason.DNS_FAILED, Reason.WORK_BUDGET},
    }
    with pytest.raises(Undecided) as caught:
        building.chain()
    assert caught.value.reason in expected[live.security]


@pytest.mark.parametrize("situation", SHOWN, ids=named)
def test_it_is_in_order_once_and_the_same_each_time(situation: Situation, corpus: Corpus) -> None:
    chain, _ = built(corpus, situation)
    records = [
        (owner.labels[::-1], rdata.to_generic().to_wire(), rdata.rdtype) for owner, _, rdata in chain.chain.records
    ]
    assert len(set(records)) == len(records)
    assert built(corpus, situation)[0].octets == chain.octets
    assert AuthenticationChain.from_wire(chain.octets).to_wire() == chain.octets
    owners = [owner.canonicalize() for owner, _, _ in chain.chain.records]
    assert owners == sorted(owners)


@pytest.mark.parametrize("situation", [one for one in SHOWN if one.anchor == ""], ids=named)
def test_it_begins_at_the_root(situation: Situation, corpus: Corpus) -> None:
    chain, _ = built(corpus, situation)
    owner, _, rdata = chain.chain.records[0]
    assert owner == dns.name.root
    assert rdata.rdtype == dns.rdatatype.DNSKEY


@pytest.mark.parametrize("situation", [one for one in SHOWN if one.expected.security is Security.SECURE], ids=named)
def test_no_set_can_be_left_out(situation: Situation, corpus: Corpus) -> None:
    """Minimal: without any one set, records and signatures, it does not say the same to whoever wants every proof."""
    chain, live = built(corpus, situation)
    sets = {(owner, rdata.covers() or rdata.rdtype) for owner, _, rdata in chain.chain.records}
    for left_out in sets:
        fewer = tuple(one for one in chain.chain.records if (one[0], one[2].covers() or one[2].rdtype) != left_out)
        again = AuthenticationChain(fewer).validate(
            situation.question, situation.rdtype, anchors=corpus.trust_anchors, now=SIGNED_AT, every_cut=True
        )
        assert not fewer or said(again) != said(live), left_out


def rrsets(chain: AuthenticationChain) -> dict[tuple[dns.name.Name, int], dns.rrset.RRset]:
    """By owner and type; signatures under the negative of the type they cover."""
    found: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
    for owner, ttl, rdata in chain.records:
        at = owner, -int(rdata.covers()) if rdata.covers() else int(rdata.rdtype)
        if at in found:
            found[at].add(rdata)
        else:
            found[at] = dns.rrset.from_rdata(owner, ttl, rdata)
    return found


@pytest.mark.parametrize("situation", SHOWN, ids=named)
def test_dnspython_finds_every_signature_good_and_every_key_named(situation: Situation, corpus: Corpus) -> None:
    """Another validator's opinion of each set, from the root's DS down; how the sets hang together is ours to test."""
    sets = rrsets(built(corpus, situation)[0].chain)
    keys = {owner: {owner: rrset} for (owner, kind), rrset in sets.items() if kind == dns.rdatatype.DNSKEY}
    for (owner, kind), rrset in sets.items():
        if kind > 0:
            signer = sets[owner, -kind][0].signer
            dns.dnssec.validate(rrset, sets[owner, -kind], keys[signer], now=SIGNED_AT, policy=EVERYTHING)
    anchored = dns.rrset.from_text_list(dns.name.root, 300, "IN", "DS", anchored_ds(corpus))
    for zone, of_zone in keys.items():
        named_keys = sets.get((zone, dns.rdatatype.DS), anchored if zone == dns.name.root else None)
        if named_keys is not None:
            made = {
                dns.dnssec.make_ds(zone, key, ds.digest_type, policy=EVERYTHING)
                for ds in named_keys
                if ds.digest_type in DIGESTS
                for key in of_zone[zone]
            }
            assert made & set(named_keys) or situation.anchor


def anchored_ds(corpus: Corpus) -> list[str]:
    return [line.split(" DS ")[1] for line in corpus.tree.anchors().splitlines()]


def test_a_chain_that_is_too_long(corpus: Corpus) -> None:
    situation = next(one for one in SHOWN if one.name == "alias-chain")
    building, _ = looked_up(corpus, situation)
    length = len(building.chain().octets)
    assert length > 1024
    with pytest.raises(LimitExceeded) as caught:
        building.chain(octets=1024)
    assert caught.value.limit == "chain-octets"


def test_before_there_is_an_answer(corpus: Corpus) -> None:
    situation = SHOWN[0]
    building = ChainBuilding(situation.question, situation.rdtype, anchors=corpus.trust_anchors, now=corpus.signed_at)
    with pytest.raises(Misuse):
        building.chain()
