"""EAP packets (RFC 3748 sections 4 and 5)."""

import pytest

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import EapCode, EapType
from dnsbound.protocols.eap import IETF, EapPacket, Method, desired_methods, is_nak, nak_for

IDENTITY = EapPacket.response(7, EapType.IDENTITY, b"@cars.example")
WIRE = b"\x02\x07\x00\x12\x01@cars.example"


def test_eap_01_a_packet_in_the_octets_of_the_section() -> None:
    assert IDENTITY.to_wire() == WIRE
    assert EapPacket.from_wire(WIRE) == IDENTITY
    for code, number in ((EapCode.SUCCESS, 3), (EapCode.FAILURE, 4)):
        packet = EapPacket(code=code, identifier=255)
        assert packet.to_wire() == bytes((number, 255, 0, 4))
        assert EapPacket.from_wire(packet.to_wire()) == packet


@pytest.mark.parametrize("code", [0, 5, 6, 255])
def test_eap_01_codes_that_nobody_assigned_are_malformed(code: int) -> None:
    with pytest.raises(Malformed):
        EapPacket.from_wire(bytes((code, 1, 0, 5, 1)))


def test_eap_02_octets_behind_the_length_are_padding() -> None:
    assert EapPacket.from_wire(WIRE + bytes(40)) == IDENTITY


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x02",
        b"\x02\x07\x00",
        WIRE[:-1],
        b"\x02\x07\x00\x03\x01",
        b"\x02\x07\x00\x00",
        b"\x02\x07\xff\xff\x01",
        b"\x02\x07\x00\x04",
        b"\x01\x07\x00\x04\x01",
    ],
    ids=["nothing", "a code", "half a length", "cut", "3", "0", "65535", "no type", "type outside"],
)
def test_eap_02_a_length_that_cannot_be_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        EapPacket.from_wire(octets)


@pytest.mark.parametrize("code", [EapCode.SUCCESS, EapCode.FAILURE])
def test_eap_06_success_and_failure_hold_nothing(code: EapCode) -> None:
    with pytest.raises(Malformed):
        EapPacket.from_wire(bytes((code, 1, 0, 5, 0)))
    with pytest.raises(Misuse):
        EapPacket(code=code, identifier=1, type=EapType.TLS)


@pytest.mark.parametrize(
    "wrong", [{"identifier": 256, "type": 1}, {"identifier": -1, "type": 1}, {"identifier": 1}], ids=str
)
def test_a_packet_that_cannot_be_is_misuse(wrong: dict[str, int]) -> None:
    with pytest.raises(Misuse):
        EapPacket(code=EapCode.REQUEST, **wrong)


def test_a_packet_longer_than_its_length_can_say_is_misuse() -> None:
    assert len(EapPacket.request(1, EapType.TLS, bytes(65_530)).to_wire()) == 65_535
    with pytest.raises(Misuse):
        EapPacket.request(1, EapType.TLS, bytes(65_531)).to_wire()


def test_eap_10_a_nak_says_what_it_wants() -> None:
    nak = EapPacket.response(3, EapType.NAK, bytes((25, 21)))
    assert is_nak(nak)
    assert desired_methods(nak) == (Method(IETF, 25), Method(IETF, 21))
    assert desired_methods(EapPacket.response(3, EapType.NAK, b"\x00")) == (Method(IETF, 0),)
    assert not is_nak(IDENTITY)


def test_eap_10_a_nak_that_wants_nothing_is_malformed() -> None:
    with pytest.raises(Malformed):
        desired_methods(EapPacket.response(3, EapType.NAK))


EXPANDED_NAK = bytes((0, 0, 0, 0, 0, 0, 3))


def test_eap_11_an_expanded_nak_says_what_it_wants() -> None:
    wfa = bytes((254,)) + (0x372A).to_bytes(3, "big") + (1).to_bytes(4, "big")
    nak = EapPacket.response(3, EapType.EXPANDED, EXPANDED_NAK + wfa + bytes((254, 0, 0, 0, 0, 0, 0, 25)))
    assert is_nak(nak)
    assert desired_methods(nak) == (Method(0x372A, 1), Method(IETF, 25))
    assert [str(method) for method in desired_methods(nak)] == ["14122/1", "25"]


@pytest.mark.parametrize(
    "rest", [b"", bytes((25,)), bytes((13, 0, 0, 0, 0, 0, 0, 25)), bytes((254, 0, 0, 0, 0, 0, 0))], ids=bytes.hex
)
def test_eap_11_an_expanded_nak_of_another_shape_is_malformed(rest: bytes) -> None:
    nak = EapPacket.response(3, EapType.EXPANDED, EXPANDED_NAK + rest)
    assert is_nak(nak)
    with pytest.raises(Malformed):
        desired_methods(nak)


def test_eap_11_other_expanded_types_are_no_nak() -> None:
    for data in (b"", EXPANDED_NAK[:-1], bytes((0, 0, 1, 0, 0, 0, 3)), bytes((0, 0, 0, 0, 0, 0, 13))):
        assert not is_nak(EapPacket.response(3, EapType.EXPANDED, data))


def test_eap_11_a_nak_has_the_form_of_the_request() -> None:
    legacy = nak_for(EapPacket.request(9, 25, b"\x20"), EapType.TLS)
    assert legacy.to_wire() == bytes((2, 9, 0, 6, 3, 13))
    expanded = nak_for(EapPacket.request(9, EapType.EXPANDED, bytes((0, 0x37, 0x2A, 0, 0, 0, 1))), EapType.TLS)
    assert expanded.to_wire() == bytes((2, 9, 0, 20, 254)) + EXPANDED_NAK + bytes((254, 0, 0, 0, 0, 0, 0, 13))
    assert desired_methods(expanded) == (Method(IETF, EapType.TLS),)
