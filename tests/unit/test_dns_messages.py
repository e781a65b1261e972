"""Queries as they are sent, responses as they are read."""

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest

from dnsbound.dns.messages import EDNS_PAYLOAD, Query, Response, find
from dnsbound.dns.wire_names import key_of_labels, read_name
from dnsbound.errors import Malformed

NAME = dns.name.from_text("Car54._device.cars.example.")
TLSA = dns.rdatatype.TLSA
QUERY = Query(0x1234, NAME, TLSA)
KEY = (b"example", b"cars", b"_device", b"car54")


def response(**changes: object) -> dns.message.Message:
    message = dns.message.make_response(dns.message.from_wire(QUERY.to_wire()))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_query_is_what_a_validating_stub_sends() -> None:
    message = dns.message.from_wire(QUERY.to_wire())
    assert message.id == 0x1234
    assert message.flags == dns.flags.RD | dns.flags.CD
    assert (message.edns, message.payload, message.ednsflags) == (0, EDNS_PAYLOAD, dns.flags.DO)
    [question] = message.question
    assert (question.name.labels, question.rdtype) == (NAME.labels, TLSA)
    assert len(QUERY.to_wire()) == len(message.to_wire())


def test_what_answers_a_query() -> None:
    assert QUERY.answered_by(response().to_wire())
    assert QUERY.answered_by(response().to_wire(), exact_case=True)
    lowered = response().to_wire().replace(b"Car54", b"car54")
    assert QUERY.answered_by(lowered)
    assert not QUERY.answered_by(lowered, exact_case=True)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\x12\x34",
        QUERY.to_wire(),
        response(id=0x1235).to_wire(),
        response().to_wire().replace(b"Car54", b"Car55"),
        response().to_wire().replace(b"\x00\x34\x00\x01", b"\x00\x35\x00\x01"),
        response().to_wire().replace(b"\x00\x34\x00\x01", b"\x00\x34\x00\x03"),
        response().to_wire()[:20],
        response().to_wire()[:4] + b"\x00\x02" + response().to_wire()[6:],
        b"\x12\x34\xa8\x00" + response().to_wire()[4:],
        b"\x12\x34\x80\x00" + b"\x00" * 8,
        b"\x12\x34\x80\x03" + b"\x00" * 8,
    ],
)
def test_what_does_not_answer_a_query(wire: bytes) -> None:
    assert not QUERY.answered_by(wire)


def test_error_without_question_answers() -> None:
    assert QUERY.answered_by(b"\x12\x34\x80\x01" + b"\x00" * 8)


def test_records_are_sorted_into_sets() -> None:
    message = response()
    message.answer = [
        dns.rrset.from_text("car54._device.cars.example.", 300, "IN", "TLSA", "3 1 1 " + "ab" * 32),
        dns.rrset.from_text("Car54._device.cars.example.", 200, "IN", "TLSA", "3 1 1 " + "cd" * 32),
        dns.rrset.from_text(
            "car54._device.cars.example.",
            300,
            "IN",
            "RRSIG",
            "TLSA 13 4 300 20300101000000 20200101000000 1 cars.example. AAAA",
        ),
    ]
    message.authority = [
        dns.rrset.from_text("cars.example.", 900, "IN", "SOA", "ns.cars.example. x.cars.example. 1 2 3 4 77"),
        dns.rrset.from_text("cars.example.", 900, "IN", "NS", "ns.cars.example."),
        dns.rrset.from_text("a.cars.example.", 900, "IN", "NSEC", "b.cars.example. A"),
    ]
    read = Response.from_wire(message.to_wire(), source="x")
    rrset = find(read.answer, KEY, TLSA)
    assert rrset is not None
    assert (len(rrset.rdatas), len(rrset.signatures), rrset.ttl) == (2, 1, 200)
    signature = rrset.signatures[0]
    assert (signature.key_tag, signature.signer, signature.labels) == (1, (b"example", b"cars"), 4)
    assert [int(rdtype) for _, rdtype in read.authority] == [dns.rdatatype.NSEC]
    assert read.negative_ttl == 77
    assert read.has_signatures


def test_signatures_alone_are_no_records() -> None:
    message = response()
    message.answer = [
        dns.rrset.from_text(
            NAME, 300, "IN", "RRSIG", "TLSA 13 4 300 20300101000000 20200101000000 1 cars.example. AAAA"
        )
    ]
    assert find(Response.from_wire(message.to_wire(), source="x").answer, KEY, TLSA) is None


def test_ad_bit_leaves_no_trace() -> None:
    plain, forged = response(), response()
    forged.flags |= dns.flags.AD
    assert Response.from_wire(plain.to_wire(), source="x") == Response.from_wire(forged.to_wire(), source="x")


def test_referral_is_told_from_a_denial() -> None:
    servers = dns.rrset.from_text("cars.example.", 5, "IN", "NS", "ns.cars.example.")
    soa = dns.rrset.from_text("cars.example.", 5, "IN", "SOA", "ns.cars.example. x.cars.example. 1 2 3 4 5")
    address = dns.rrset.from_text(NAME, 5, "IN", "A", "192.0.2.1")
    for answer, authority, is_referral in (
        ([], [servers], True),
        ([], [servers, soa], False),
        ([], [soa], False),
        ([], [], False),
        ([address], [servers], False),
    ):
        message = response(answer=answer, authority=authority)
        assert Response.from_wire(message.to_wire(), source="x").is_referral is is_referral


def test_truncated_message_is_read_no_further() -> None:
    message = response()
    message.flags |= dns.flags.TC
    read = Response.from_wire(message.to_wire() + b"\xff\xff", source="x")
    assert read.truncated
    assert read.answer == {}


def test_extended_rcode_and_extended_error() -> None:
    message = response()
    message.use_edns(0, options=[dns.edns.EDEOption(22, "no\x07 authority \u202e reached")])
    message.set_rcode(dns.rcode.BADVERS)
    read = Response.from_wire(message.to_wire(), source="x")
    assert read.rcode == dns.rcode.BADVERS
    assert read.extended_error == "22 no authority  reached"


def test_ttl_with_the_top_bit_is_zero() -> None:
    message = response()
    message.answer = [dns.rrset.from_text(NAME, 5, "IN", "A", "192.0.2.1")]
    wire = message.to_wire().replace(b"\x00\x00\x00\x05\x00\x04", b"\xff\xff\xff\xff\x00\x04")
    rrset = find(Response.from_wire(wire, source="x").answer, KEY, dns.rdatatype.A)
    assert rrset is not None
    assert rrset.ttl == 0


def test_other_classes_are_passed_over() -> None:
    message = response()
    message.answer = [dns.rrset.from_text(NAME, 5, "CH", "TXT", '"x"')]
    assert Response.from_wire(message.to_wire(), source="x").answer == {}


def test_record_data_of_a_wrong_form_is_kept_as_octets() -> None:
    message = response()
    message.answer = [dns.rrset.from_rdata(NAME, 5, dns.rdata.GenericRdata("IN", "TLSA", b"\x03\x01\x01\x00\x01"))]
    rrset = find(Response.from_wire(message.to_wire(), source="x").answer, KEY, TLSA)
    assert rrset is not None
    assert rrset.rdatas[0].to_wire() == b"\x03\x01\x01\x00\x01"


@pytest.mark.parametrize("cut", range(1, 40))
def test_messages_cut_short(cut: int) -> None:
    message = response()
    message.answer = [dns.rrset.from_text(NAME, 5, "IN", "A", "192.0.2.1")]
    with pytest.raises(Malformed) as caught:
        Response.from_wire(message.to_wire()[:-cut], source="the resolver at 192.0.2.1")
    assert "192.0.2.1" in caught.value.what


def test_names_and_compression() -> None:
    wire = b"\x03www\x04cars\x00" + b"\x03API\xc0\x04" + b"\xc0\x0a"
    assert read_name(wire, 0) == ((b"www", b"cars"), 10)
    assert read_name(wire, 10) == ((b"API", b"cars"), 16)
    assert read_name(wire, 16) == ((b"API", b"cars"), 18)
    assert key_of_labels((b"API", b"cars")) == (b"cars", b"api")


@pytest.mark.parametrize(
    ("wire", "at"),
    [
        (b"", 0),
        (b"\x03ww", 0),
        (b"\x03www", 0),
        (b"\xc0", 0),
        (b"\xc0\x00", 0),
        (b"\x01a\xc0\x00", 0),
        (b"\xc0\x02\xc0\x00", 2),
        (b"\xc0\x04\x00\x00\x00", 0),
        (b"\x40a\x00", 0),
        (b"\x80a\x00", 0),
        (b"\x3f" + b"a" * 63 + b"\x00", 70),
        ((b"\x3f" + b"a" * 63) * 4 + b"\x00", 0),
        (b"\x01a" * 128 + b"\x00", 0),
    ],
)
def test_names_that_are_none(wire: bytes, at: int) -> None:
    with pytest.raises(Malformed):
        read_name(wire, at)


def test_longest_name() -> None:
    wire = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\x00"
    assert len(wire) == 255
    assert len(read_name(wire, 0)[0]) == 4
