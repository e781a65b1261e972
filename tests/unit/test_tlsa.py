"""TLSA record data: wire and text mirror each other, and unusable records say why (TL-04, TL-09, RFC 7218)."""

import dns.rdata
import dns.rdtypes.ANY.TLSA
import pytest

from dnsbound.errors import Malformed
from dnsbound.records.tlsa import TLSA

DIGEST = bytes(range(32))


def test_the_two_forms_agree_with_each_other_and_with_dnspython() -> None:
    record = TLSA(3, 1, 1, DIGEST)
    assert record.to_wire() == b"\x03\x01\x01" + DIGEST
    assert record.to_text() == str(record) == f"3 1 1 {DIGEST.hex()}"
    assert TLSA.from_wire(record.to_wire()) == TLSA.from_text(record.to_text()) == record
    theirs = dns.rdata.from_text("IN", "TLSA", record.to_text())
    assert isinstance(theirs, dns.rdtypes.ANY.TLSA.TLSA)
    assert theirs.to_wire() == record.to_wire()


@pytest.mark.parametrize(
    "text",
    [
        f"DANE-EE SPKI SHA2-256 {DIGEST.hex()}",
        f"dane-ee spki sha2-256 {DIGEST.hex().upper()}",
        f"3 1 1 {DIGEST.hex()[:10]} {DIGEST.hex()[10:]}",
        f"\t3  1 1\n{DIGEST.hex()}  ",
        f"003 1 1 {DIGEST.hex()}",
    ],
)
def test_text_may_use_acronyms_and_spaces(text: str) -> None:
    assert TLSA.from_text(text) == TLSA(3, 1, 1, DIGEST)


def test_private_acronyms_and_unknown_numbers_survive_a_round_trip() -> None:
    record = TLSA.from_text("PrivCert PrivSel PrivMatch 00ff")
    assert record == TLSA(255, 255, 255, b"\x00\xff")
    assert TLSA.from_text(record.to_text()) == record


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 1",
        "3 1 x 00",
        "256 1 1 00",
        "-1 1 1 00",
        "3 1 1 0",
        "3 1 1 zz",
        "3 1 1 0x00",
        "\N{SUPERSCRIPT THREE} 1 1 00",
        "0003 1 1 00",
    ],
)
def test_text_that_is_no_record(text: str) -> None:
    with pytest.raises(Malformed):
        TLSA.from_text(text)


@pytest.mark.parametrize("rdata", [b"", b"\x03", b"\x03\x01"])
def test_octets_too_short_for_a_record(rdata: bytes) -> None:
    with pytest.raises(Malformed, match="cut short"):
        TLSA.from_wire(rdata)


@pytest.mark.parametrize(("numbers"), [(256, 0, 0), (0, -1, 0), (0, 0, 300)])
def test_numbers_are_octets(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(Malformed, match="not one octet"):
        TLSA(*numbers, b"\x00")


def test_data_must_fit_a_record() -> None:
    assert TLSA(3, 0, 0, bytes(65532)).unusable_because is None
    with pytest.raises(Malformed, match="does not fit"):
        TLSA(3, 0, 0, bytes(65533))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (TLSA(4, 1, 1, DIGEST), "usage 4"),
        (TLSA(255, 1, 1, DIGEST), "usage 255"),
        (TLSA(3, 2, 1, DIGEST), "selector 2"),
        (TLSA(3, 1, 3, DIGEST), "matching type 3"),
        (TLSA(3, 1, 1, DIGEST[:-1]), "31 octets, not 32"),
        (TLSA(3, 1, 1, DIGEST + b"\x00"), "33 octets, not 32"),
        (TLSA(3, 1, 2, DIGEST), "32 octets, not 64"),
        (TLSA(3, 1, 1, b""), "0 octets"),
        (TLSA(3, 1, 0, b""), "empty"),
    ],
)
def test_a_record_no_verifier_can_use_says_why(record: TLSA, why: str) -> None:
    assert why in (record.unusable_because or "")


@pytest.mark.parametrize("usage", range(4))
@pytest.mark.parametrize("selector", range(2))
@pytest.mark.parametrize(("matching_type", "length"), [(0, 1), (1, 32), (2, 64)])
def test_every_form_of_the_registries_is_usable(usage: int, selector: int, matching_type: int, length: int) -> None:
    assert TLSA(usage, selector, matching_type, bytes(length)).unusable_because is None
