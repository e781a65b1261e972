"""Zones made to be expensive: what one lookup may cost whoever validates it (CVE-2023-50387, CVE-2023-50868).

Work is counted in the validator's own budget, and once in processor seconds, with room for slow machines.
"""

import random
import time
from collections.abc import Callable

import dns.dnssec
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound import limits
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Query, Question, Response
from dnsbound.dns.policy import Policy
from dnsbound.dns.validator import Validation, validate

NOW = 1_800_000_000
ZONE = dns.name.from_text("trap.example.")
CAR = dns.name.from_text("car54._device.trap.example.")
PRIVATE = rsa.generate_private_key(65537, 2048)
KEY: DNSKEY = dns.dnssec.make_dnskey(PRIVATE.public_key(), Algorithm.RSASHA256, flags=257)
ANCHORS = TrustAnchors.of([(ZONE, dns.dnssec.make_ds(ZONE, KEY, "SHA256"))])


def colliding_keys(count: int) -> list[DNSKEY]:
    """Keys of the same tag: 16-bit words of the modulus change places, and every result is tried in earnest."""
    order = random.Random(1)
    head, words, tail = KEY.key[:6], [KEY.key[at : at + 2] for at in range(6, len(KEY.key) - 2, 2)], KEY.key[-2:]
    keys = []
    for _ in range(count):
        order.shuffle(words)
        keys.append(KEY.replace(key=head + b"".join(words) + tail))
    assert {dns.dnssec.key_id(key) for key in keys} == {dns.dnssec.key_id(KEY)}
    return keys


def sign(rrset: dns.rrset.RRset) -> RRSIG:
    return dns.dnssec.sign(rrset, PRIVATE, ZONE, KEY, inception=NOW - 10, expiration=NOW + 1000)


def broken(signature: RRSIG, count: int) -> list[RRSIG]:
    octets = signature.signature
    return [signature.replace(signature=n.to_bytes(4, "big") + octets[4:]) for n in range(count)]


Say = Callable[[dns.message.Message], None]


def answering(say: Say) -> Callable[[Question], Response]:
    def look_up(question: Question) -> Response:
        query = dns.message.from_wire(Query(1, name_of(question.key), question.rdtype).to_wire())
        response = dns.message.make_response(query)
        say(response)
        return Response.from_wire(response.to_wire(max_size=65535, want_shuffle=False), source="the resolver")

    return look_up


def judged(say: Say, policy: Policy | None = None) -> tuple[Answer, int, int]:
    """The answer, the signature checks and the hash computations it cost."""
    chosen = policy or Policy()
    validation = Validation(CAR, dns.rdatatype.TLSA, anchors=ANCHORS, now=NOW, policy=chosen)
    answer = validate(validation, answering(say))
    work = validation._work
    return (
        answer,
        limits.SIGNATURE_CHECKS.checked(chosen.signature_checks) - work.signatures.left,
        limits.NSEC3_HASHES.checked(chosen.nsec3_hashes) - work.hashes.left,
    )


def key_set(keys: list[DNSKEY], signatures: list[RRSIG] | None = None) -> list[dns.rrset.RRset]:
    rrset = dns.rrset.from_rdata_list(ZONE, 300, keys)
    return [rrset, dns.rrset.from_rdata_list(ZONE, 300, signatures or [sign(rrset)])]


def test_keytrap() -> None:
    """A hundred colliding keys, and a hundred signatures by that tag of which none is good."""
    keys = key_set([*colliding_keys(100), KEY])
    record = dns.rrset.from_text(CAR, 300, "IN", "TLSA", "3 1 1 " + "ab" * 32)
    signatures = dns.rrset.from_rdata_list(CAR, 300, broken(sign(record), 100))

    def say(response: dns.message.Message) -> None:
        response.answer = keys if response.question[0].rdtype == dns.rdatatype.DNSKEY else [record, signatures]

    began = time.process_time()
    answer, checks, _ = judged(say)
    assert time.process_time() - began < 2
    assert (answer.security, answer.outcome) == (Security.BOGUS, Outcome.FAILED)
    assert "first 8 signatures" in answer.detail
    assert checks <= 1 + 8 * 4


def test_keytrap_in_the_key_set_itself() -> None:
    keys = [*colliding_keys(100), KEY]
    whole = dns.rrset.from_rdata_list(ZONE, 300, keys)
    spoiled = key_set(keys, broken(sign(whole), 100))
    record = dns.rrset.from_text(CAR, 300, "IN", "TLSA", "3 1 1 " + "ab" * 32)
    own = dns.rrset.from_rdata(CAR, 300, sign(record))

    def say(response: dns.message.Message) -> None:
        response.answer = spoiled if response.question[0].rdtype == dns.rdatatype.DNSKEY else [record, own]

    answer, checks, _ = judged(say)
    assert answer.security is Security.BOGUS
    assert checks <= 8 * 4


def test_many_denials_end_with_the_budget() -> None:
    """Hundreds of NSEC sets, each with several broken signatures, where two would do."""
    sets = []
    for number in range(150):
        nsec = dns.rrset.from_text(f"n{number}.trap.example.", 300, "IN", "NSEC", f"n{number}a.trap.example. A")
        sets += [nsec, dns.rrset.from_rdata(nsec.name, 300, sign(nsec).replace(signature=b"\1" * 256))]

    def say(response: dns.message.Message) -> None:
        if response.question[0].rdtype == dns.rdatatype.DNSKEY:
            response.answer = key_set([KEY])
        else:
            response.authority = sets
            response.set_rcode(dns.rcode.NXDOMAIN)

    answer, checks, _ = judged(say)
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert answer.limit == "signature-checks"
    assert checks == limits.SIGNATURE_CHECKS.default


@pytest.mark.parametrize("iterations", [100, 150])
def test_nsec3_of_many_iterations_and_a_name_of_many_labels(iterations: int) -> None:
    name = dns.name.from_text("a." * 90 + "trap.example.")
    owner = dns.dnssec.nsec3_hash("trap.example.", b"\xab" * 32, iterations, 1).lower()
    nsec3 = dns.rrset.from_text(
        f"{owner}.trap.example.", 300, "IN", "NSEC3", f"1 0 {iterations} {'ab' * 32} {'0' * 31}1 NS SOA"
    )

    def say(response: dns.message.Message) -> None:
        if response.question[0].rdtype == dns.rdatatype.DNSKEY:
            response.answer = key_set([KEY])
        else:
            response.authority = [nsec3, dns.rrset.from_rdata(nsec3.name, 300, sign(nsec3))]
            response.set_rcode(dns.rcode.NXDOMAIN)

    policy = Policy()
    validation = Validation(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=NOW, policy=policy)
    began = time.process_time()
    answer = validate(validation, answering(say))
    assert time.process_time() - began < 2
    if iterations > limits.NSEC3_ITERATIONS.default:
        assert answer.security is Security.INSECURE
        assert validation._work.hashes.left == limits.NSEC3_HASHES.default
    else:
        assert (answer.security, answer.limit) == (Security.INDETERMINATE, "nsec3-hashes")


def test_aliases_without_end() -> None:
    """Each target is a new alias to a new name: the chain ends with the limit, not with the attacker's patience."""

    def say(response: dns.message.Message) -> None:
        question = response.question[0]
        if question.rdtype == dns.rdatatype.DNSKEY:
            response.answer = key_set([KEY])
            return
        cname = dns.rrset.from_text(question.name, 300, "IN", "CNAME", f"x{hash(question.name)}.trap.example.")
        response.answer = [cname, dns.rrset.from_rdata(question.name, 300, sign(cname))]

    answer, checks, _ = judged(say)
    assert (answer.security, answer.outcome, answer.limit) == (Security.INDETERMINATE, Outcome.FAILED, "aliases")
    assert checks <= limits.ALIASES.default + 2


def test_record_sets_as_large_as_a_message() -> None:
    """Seven hundred records under forty signatures that are no good: sorted and encoded once."""
    record = dns.rrset.from_text_list(CAR, 300, "IN", "TLSA", [f"3 1 1 {n:064x}" for n in range(700)])
    signatures = dns.rrset.from_rdata_list(CAR, 300, broken(sign(record), 40))

    def say(response: dns.message.Message) -> None:
        is_key = response.question[0].rdtype == dns.rdatatype.DNSKEY
        response.answer = key_set([KEY]) if is_key else [record, signatures]

    began = time.process_time()
    answer, checks, _ = judged(say)
    assert time.process_time() - began < 2
    assert answer.security is Security.BOGUS
    assert checks == 1 + 8
