"""Any octets as responses, chains, names, keys or anchors give a value or a DnsboundError, within the work budget."""

import contextlib
import time

import dns.name
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound.dns.algorithms import ALGORITHMS, SHA1_ALGORITHMS, ZoneKey
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Security
from dnsbound.dns.canonical import common_ancestor, is_at_or_below, key_of, name_of, text_of, wire_of
from dnsbound.dns.chain import AuthenticationChain, ChainExtension
from dnsbound.dns.messages import Failure, Query, Question, Reply, Response
from dnsbound.dns.policy import Policy
from dnsbound.dns.signatures import moment_of
from dnsbound.dns.validator import Validation, validate
from dnsbound.dns.wire_names import key_of_labels, read_name
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import DnsboundError, Malformed
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zones import ZonePlan, ZoneTree

NOW = 1_800_000_000
TLSA = dns.rdatatype.TLSA
CAR = dns.name.from_text("car54._device.cars.example.")
TRUE = "3 1 1 " + "ab" * 32
TREE = ZoneTree.build(
    [
        ZonePlan.of("."),
        ZonePlan.of("example.", denial="nsec3 iterations=1 salt=ab"),
        ZonePlan.of(
            "cars.example.", records=f"car54._device TLSA {TRUE}\nalias CNAME car54._device\nold DNAME _device\n"
        ),
    ],
    now=NOW,
)
ANCHORS = TrustAnchors.from_text(TREE.anchors())
ANSWERS = ZoneAnswers(TREE.zones, recursive=True)
NAMES = [CAR, *(dns.name.from_text(f"{x}.cars.example.") for x in ("alias", "car54.old", "absent", "_device"))]

labels = st.binary(min_size=1, max_size=63)
names = st.lists(labels, max_size=6).filter(lambda parts: sum(len(part) + 1 for part in parts) < 255)


def true_octets(question: Question) -> bytes:
    wire = ANSWERS.respond_wire(Query(7, name_of(question.key), question.rdtype).to_wire(), udp=False)
    assert wire is not None
    return wire


def read(wire: bytes) -> Reply:
    try:
        return Response.from_wire(wire, source="x")
    except Malformed as malformed:
        return Failure(str(malformed))


@given(st.binary(max_size=600))
def test_any_octets_as_a_response(wire: bytes) -> None:
    with contextlib.suppress(Malformed):
        Response.from_wire(wire, source="x")


@given(st.binary(max_size=600))
def test_any_octets_as_a_chain(wire: bytes) -> None:
    for parse in (AuthenticationChain.from_wire, ChainExtension.from_wire):
        with contextlib.suppress(Malformed):
            assert parse(wire).to_wire() is not None


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_octets_as_a_name(wire: bytes, at: int) -> None:
    try:
        found, behind = read_name(wire, at)
    except Malformed:
        return
    assert at < behind <= len(wire)
    assert key_of(dns.name.Name((*found, b""))) == key_of_labels(found)


@given(names)
def test_names_and_keys_are_mirror_images(parts: list[bytes]) -> None:
    name = dns.name.Name((*parts, b""))
    key = key_of(name)
    assert name_of(key) == name
    assert wire_of(key) == name.canonicalize().to_wire()
    assert dns.name.from_text(text_of(key)) == name
    wire = name.to_wire()
    assert wire is not None
    assert read_name(wire, 0) == (tuple(parts), len(wire))


@given(names, names)
def test_keys_order_as_dnssec_orders(one: list[bytes], other: list[bytes]) -> None:
    left, right = dns.name.Name((*one, b"")), dns.name.Name((*other, b""))
    assert (key_of(left) < key_of(right)) == (left < right)
    assert is_at_or_below(key_of(left), key_of(right)) == left.is_subdomain(right)
    ancestor = name_of(common_ancestor(key_of(left), key_of(right)))
    assert left.is_subdomain(ancestor)
    assert right.is_subdomain(ancestor)


@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2000), st.binary(min_size=1, max_size=8)), max_size=4),
)
@settings(max_examples=300)
def test_damaged_answers_are_never_secure_with_other_records(
    name: dns.name.Name, damage: list[tuple[int, int, bytes]]
) -> None:
    """Octets of the responses are overwritten at random: what is judged secure is still what the zone says."""
    count = 0

    def ask(question: Question) -> Reply:
        nonlocal count
        wire = bytearray(true_octets(question))
        for which, at, octets in damage:
            if which == count and 12 <= at < len(wire):
                wire[at : at + len(octets)] = octets
        count += 1
        return read(bytes(wire))

    answer = validate(Validation(name, TLSA, anchors=ANCHORS, now=NOW), ask)
    assert isinstance(answer, Answer)
    if answer.security is Security.SECURE:
        truth = validate(Validation(name, TLSA, anchors=ANCHORS, now=NOW), lambda question: read(true_octets(question)))
        assert (answer.outcome, answer.records) == (truth.outcome, truth.records)
    if answer.security in (Security.BOGUS, Security.INDETERMINATE):
        assert answer.records == ()
        assert answer.detail


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_random_responses_end_in_an_answer_that_is_not_secure(wires: list[bytes]) -> None:
    asked = 0

    def ask(question: Question) -> Reply:
        nonlocal asked
        asked += 1
        header = b"\x00\x07\x80\x00\x00\x00" + bytes([0, asked % 5, 0, asked % 3, 0, 0])
        return read(header + wires[asked % len(wires)])

    answer = validate(Validation(CAR, TLSA, anchors=ANCHORS, now=NOW, policy=Policy(queries=8)), ask)
    assert answer.security in (Security.BOGUS, Security.INDETERMINATE)
    assert asked <= 8


@given(
    st.sampled_from([*sorted(ALGORITHMS | SHA1_ALGORITHMS), 0, 1, 3, 12, 200, 253]),
    st.binary(max_size=600),
    st.binary(max_size=200),
)
def test_any_octets_as_key_and_signature(algorithm: int, public: bytes, signature: bytes) -> None:
    assert ZoneKey(1, algorithm, public).verify(signature, b"octets") is False


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**34))
def test_serial_times_are_the_nearest(serial: int, now: int) -> None:
    moment = moment_of(serial, now)
    assert moment % 2**32 == serial
    assert -(2**31) <= moment - now <= 2**31


@given(st.text(max_size=200))
def test_any_text_as_anchors(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert TrustAnchors.from_text(text).by_key


@given(st.text(alphabet='. INDSKEY0123456789abcdef(){};"\n\\#static-trusnchor', max_size=120))
def test_almost_anchors(text: str) -> None:
    with contextlib.suppress(Malformed):
        anchors = TrustAnchors.from_text(text)
        assert TrustAnchors.from_text(anchors.to_text()).by_key == anchors.by_key


@given(st.text(max_size=80) | st.text(alphabet="tls://[]0123456789.:#,sha256/=", max_size=60))
def test_any_text_as_an_upstream(text: str) -> None:
    try:
        upstream = Upstream.parse(text)
    except DnsboundError:
        return
    assert Upstream.parse(str(upstream)) == upstream


def test_hostile_compression_is_linear() -> None:
    """64 kB of pointers that each lead one step back."""
    wire = b"\x00" * 12 + b"\x00" + b"".join((0xC000 | (12 + 2 * n)).to_bytes(2, "big") for n in range(8000))
    began = time.process_time()
    with contextlib.suppress(Malformed):
        read_name(wire, len(wire) - 2)
    assert time.process_time() - began < 0.5
