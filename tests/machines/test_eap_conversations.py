"""EAP-TLS from the first identity to the keys: our server and our peer, over every version, credential and size."""

from functools import cache

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.iana import EapCode, EapType
from dnsbound.protocols.eap import EapPacket
from dnsbound.verify.claim import NameSource
from machines.eap_pairs import IDENTITY, SOURCE, Conversation, network, supplicant, tls_of
from machines.shim_pairs import NAME, credential

VERSIONS = ("TLSv1.3", "TLSv1.2")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_peer_is_in_and_both_ends_have_the_same_keys(version: str) -> None:
    talk = Conversation(supplicant(version=version), network())
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    assert (len(done.keys.msk), len(done.keys.emsk)) == (64, 64)
    assert (accepted.tls_version, done.tls_version) == (version, version)
    assert accepted.peer.name.text == NAME
    assert [(claim.name_source, claim.source) for claim in talk.claims] == [(NameSource.EXTENSION, SOURCE)]
    assert talk.server.identity == IDENTITY
    assert talk.server.round_trips == len(talk.requests) - 1


@cache
def rsa() -> Credential:
    return credential(kind="rsa4096")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("packet_octets", [100, 101, 127, 200, 255, 256, 500, 1000, 1400])
def test_et_02_every_size_of_fragments_and_rsa_of_4096_bits(packet_octets: int, version: str) -> None:
    talk = Conversation(supplicant(rsa(), version=version), network(), fragment_octets=packet_octets)
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    assert max(map(len, talk.requests + talk.responses)) <= packet_octets
    if packet_octets < 1000:
        assert any(tls_of(eap).more for eap in talk.requests[2:-1])
        assert any(tls_of(eap).more for eap in talk.responses[1:])


def test_et_01_the_start_is_empty_and_the_only_one() -> None:
    talk = Conversation(supplicant(), network())
    talk.accepted()
    assert EapPacket.from_wire(talk.requests[1]).data == b"\x20"
    assert [tls_of(eap).start for eap in talk.requests[2:-1] + talk.responses[1:]].count(True) == 0


def test_eap_05_every_request_has_the_next_identifier_and_every_response_its_requests() -> None:
    talk = Conversation(supplicant(rsa()), network(), fragment_octets=100)
    talk.accepted()
    requests = [EapPacket.from_wire(eap) for eap in talk.requests]
    responses = [EapPacket.from_wire(eap) for eap in talk.responses]
    assert len(requests) > 60
    assert [packet.identifier for packet in requests[:-1]] == [number & 0xFF for number in range(1, len(requests))]
    assert [packet.identifier for packet in responses] == [packet.identifier for packet in requests[:-1]]
    # EAP-Success has that of the response it answers (RFC 3748 section 4.2).
    assert (requests[-1].code, requests[-1].identifier) == (EapCode.SUCCESS, responses[-1].identifier)


def test_eap_08_the_identity_is_asked_for_and_kept() -> None:
    talk = Conversation(supplicant(), network(), identity=b"")
    talk.accepted()
    assert EapPacket.from_wire(talk.requests[0]) == EapPacket.request(1, EapType.IDENTITY)
    assert EapPacket.from_wire(talk.responses[0]) == EapPacket.response(1, EapType.IDENTITY)
    assert talk.server.identity == b""
