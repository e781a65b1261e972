"""Codecs of the TLS carrier: any octets give a value or an error of ours, and what was written reads back the same."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.presented import EarlierMatch, Presented
from dnsbound.errors import DnsboundError, Malformed, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.tls.certificate_dict import certificate_dict
from dnsbound.tls.channel_binding import server_end_point
from dnsbound.tls.clientid import (
    PROFILES,
    Answer,
    Meaning,
    Profile,
    build_answer,
    claimed_name,
    parse_answer,
    parse_request,
)
from dnsbound.tls.flags import MAX_FLAG, Flags
from dnsbound.tls.handshake_claim import single_san
from dnsbound.tls.ticket import TicketClaim
from dnsbound.verify.claim import NameSource
from machines.native_pairs import authority, make_identity

LABEL = st.from_regex(r"[A-Za-z0-9_-]{1,63}", fullmatch=True)
NAME = st.lists(LABEL, min_size=2, max_size=8).map(".".join).filter(lambda text: len(text) <= 253).map(ClientName.parse)
SHOWN = [
    Presented(identity.chain[:1]) if certificate else Presented(raw_public_key=identity.spki)
    for identity in (make_identity("a.example"), make_identity("b.example"))
    for certificate in (True, False)
]
SOURCE = st.sampled_from([NameSource.EXTENSION, NameSource.SAN])
RICH = make_identity("a.example", issuer=authority(), san=("a.example", "192.0.2.1", "2001:db8::1")).chain[0]


FIELDS = set(certificate_dict(RICH)) | {"OCSP", "caIssuers", "crlDistributionPoints"}


def outcome(read: Callable[..., Any], *octets: Any) -> Any:
    """The value, or the error of ours; anything else is a failure of the test."""
    try:
        return read(*octets)
    except DnsboundError as error:
        return error


# --- dane_clientid


def test_running_example_is_the_digests() -> None:
    """The octets of the client's form, with their code point and extension length left out."""
    name = ClientName.parse("car54._device.cars.example")
    assert build_answer(name).hex() == "1a63617235342e5f6465766963652e636172732e6578616d706c65"
    assert PROFILES[Profile.CA13].request == b"\x00"


@given(NAME, st.sampled_from(Profile))
def test_answer_reads_back(name: ClientName, profile: Profile) -> None:
    read = parse_answer(build_answer(name), profile)
    assert read is not None
    assert read.text == name.text


@given(st.one_of(st.binary(max_size=300), st.sampled_from([b"", b"\x00"])), st.sampled_from(Profile))
def test_any_answer_is_a_name_or_an_error(octets: bytes, profile: Profile) -> None:
    result = outcome(parse_answer, octets, profile)
    if octets in {b"", b"\x00"}:
        answer = Answer.ZERO_LENGTH if octets else Answer.NO_OCTETS
        meaning = PROFILES[profile].answers[answer]
        assert (result is None) == (meaning is Meaning.IN_CERTIFICATE)
        assert isinstance(result, Malformed) == (meaning is Meaning.MALFORMED)
        assert isinstance(result, Refused) == (meaning is Meaning.VIOLATION)
    elif octets[0] != len(octets) - 1:
        assert isinstance(result, Malformed), "shape alone is malformed"
    elif isinstance(result, Refused):
        assert result.reason is Reason.BAD_NAME
    else:
        assert build_answer(result) == octets


@given(st.one_of(st.binary(max_size=300), st.sampled_from([b"", b"\x00"])), st.sampled_from(Profile))
def test_request_says_nothing(octets: bytes, profile: Profile) -> None:
    if octets in PROFILES[profile].requests:
        parse_request(octets, profile)
    else:
        with pytest.raises(Malformed):
            parse_request(octets, profile)


@pytest.mark.parametrize(
    "text",
    [
        "*.cars.example",
        "cars",
        "a..b",
        "a.b.",
        ".a.b",
        "a b.c",
        "bücher.example",
        "a\\046b.c",
        "x" * 64 + ".y",
        "a.b\n",
    ],
)
def test_names_that_name_no_client(text: str) -> None:
    with pytest.raises(Refused) as caught:
        claimed_name(text.encode())
    assert caught.value.reason is Reason.BAD_NAME


def test_longest_names() -> None:
    longest = ".".join(["x" * 63] * 3 + ["y" * 61])
    assert len(longest) == 253
    assert parse_answer(build_answer(ClientName.parse(longest))).text == longest
    with pytest.raises(Refused):
        claimed_name(longest.encode() + b"z")


# --- tickets


TICKET = st.builds(
    TicketClaim,
    door=st.text(max_size=40),
    name=NAME,
    name_source=SOURCE,
    ends=st.integers(0, 2**64 - 1),
    key_digest=st.binary(min_size=32, max_size=32),
    certificate_digest=st.none() | st.binary(min_size=32, max_size=32),
    record=st.builds(TLSA, *[st.integers(0, 255)] * 3, st.binary(max_size=100)),
    chain_expires=st.none() | st.integers(1, 2**64 - 1),
)


@given(TICKET)
def test_ticket_reads_back(claim: TicketClaim) -> None:
    read = TicketClaim.from_wire(claim.to_wire())
    assert read == claim
    assert read.name.text == claim.name.text


@given(st.binary(max_size=400))
def test_any_ticket_is_a_claim_or_an_error(octets: bytes) -> None:
    result = outcome(TicketClaim.from_wire, octets)
    assert isinstance(result, Malformed) or result.to_wire() == octets


@given(TICKET, st.data())
def test_changed_ticket_is_a_claim_or_an_error(claim: TicketClaim, data: st.DataObject) -> None:
    sealed = bytearray(claim.to_wire())
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    result = outcome(TicketClaim.from_wire, bytes(sealed))
    assert isinstance(result, Malformed) or result.to_wire() == sealed


@given(st.sampled_from(SHOWN), st.sampled_from(SHOWN), st.booleans())
def test_a_ticket_takes_no_other_credential(one: Presented, other: Presented, expires: bool) -> None:
    """OpenSSL keeps the leaf or the raw key, and the digests say whether it is the one that was admitted."""
    claim = TicketClaim.of(
        one,
        door="api",
        name=ClientName.parse("a.b"),
        name_source=NameSource.EXTENSION,
        ends=1,
        record=TLSA(3, 1, 1, bytes(32)),
        chain_expires=7.5 if expires else None,
    )
    leaf = other.chain[0] if other.chain else None
    taken = outcome(lambda _: claim.presented(leaf=leaf, raw_public_key=other.raw_public_key), b"")
    if one is other:
        assert (taken.chain, taken.raw_public_key) == (one.chain, one.raw_public_key)
        assert taken.earlier == EarlierMatch(record=claim.record, chain_expires=claim.chain_expires)
    else:
        assert isinstance(taken, Malformed)


# --- certificates


@given(st.one_of(st.binary(max_size=200), st.integers(0, len(RICH) - 1).map(lambda cut: RICH[:cut])))
def test_octets_that_are_no_certificate(octets: bytes) -> None:
    assert certificate_dict(octets) == {}
    assert server_end_point(octets) is None
    with pytest.raises(Refused) as caught:
        single_san(octets)
    assert caught.value.reason is Reason.NO_NAME


@given(st.integers(0, len(RICH) - 1), st.integers(1, 255))
def test_damaged_certificate_is_shown_or_not(position: int, bits: int) -> None:
    damaged = bytearray(RICH)
    damaged[position] ^= bits
    assert set(certificate_dict(bytes(damaged))) <= FIELDS
    assert len(server_end_point(bytes(damaged)) or b"none") in {4, 20, 28, 32, 48, 64}
    result = outcome(single_san, bytes(damaged))
    assert isinstance(result, ClientName) or result.reason in {Reason.NO_NAME, Reason.AMBIGUOUS_NAME}


# --- tls_flags


@given(st.frozensets(st.integers(0, MAX_FLAG), min_size=1))
def test_flags_read_back_and_are_shortest(numbers: frozenset[int]) -> None:
    wire = Flags(numbers).to_wire()
    assert Flags.from_wire(wire).numbers == numbers
    assert len(wire) == 2 + max(numbers) // 8


@given(st.binary(max_size=260))
def test_any_flags_are_a_value_with_one_form_or_an_error(octets: bytes) -> None:
    result = outcome(Flags.from_wire, octets)
    assert isinstance(result, Malformed) or result.to_wire() == octets
