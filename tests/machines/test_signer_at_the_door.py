"""Contexts whose credential's key is elsewhere: at both ends of a door, in both forms, and when it does not sign."""

import ssl

import pytest

from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.context import Context
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.tls.errors import TLSAlertReceived, TLSSignerFailed
from machines.shim_pairs import NAME, Doorkeeper, Pair, client, credential, door
from unit.signers import Hardware

INTERNAL_ERROR = 80


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_client_whose_key_is_elsewhere_comes_in(algorithm: KeyAlgorithm, kind: CredentialKind) -> None:
    hardware = Hardware(algorithm)
    own = hardware.credential(kind=kind)
    keeper = Doorkeeper()
    pair = Pair.of(client(own), door(keeper))
    pair.shake()
    claim = pair.far.pending_claim
    assert claim.name.text == NAME
    assert claim.presented == own.presented
    assert [scheme for scheme, _ in hardware.asked] == [hardware.schemes[0]]


def trusting_all() -> Context:
    """A client that takes any server, raw keys too: the door's signature is what is looked at."""
    near = client(credential(), danger_unverified_server=True)
    near.check_hostname, near.verify_mode = False, ssl.CERT_NONE
    near._set(peer_types=(0, 2))
    return near


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_door_whose_key_is_elsewhere(algorithm: KeyAlgorithm, kind: CredentialKind) -> None:
    hardware = Hardware(algorithm)
    own = hardware.credential("server.example", kind=kind)
    context = Context.server(own, authenticator=Doorkeeper())
    pair = Pair.of(trusting_all(), context)
    pair.shake()
    assert pair.far.pending_claim.name.text == NAME
    assert len(hardware.asked) == 1


def test_a_client_whose_key_does_not_sign_says_why() -> None:
    gone = OSError("the token was taken out")
    hardware = Hardware()
    own = hardware.credential()
    hardware.failure = gone
    pair = Pair.of(client(own), door())
    with pytest.raises(TLSSignerFailed, match="taken out") as failed:
        pair.shake()
    assert failed.value.__cause__ is gone
    assert isinstance(failed.value, ssl.SSLError)
    assert isinstance(failed.value, DnsboundError)
    assert failed.value.alert_sent == INTERNAL_ERROR
    with pytest.raises(TLSAlertReceived) as told:
        pair.far.do_handshake()
    assert told.value.alert_received == INTERNAL_ERROR


def test_a_door_whose_key_does_not_sign_says_why() -> None:
    hardware = Hardware()
    own = hardware.credential("server.example")
    hardware.failure = Misuse("the PIN is locked")
    pair = Pair.of(trusting_all(), Context.server(own, authenticator=Doorkeeper()))
    with pytest.raises(TLSSignerFailed) as failed:
        pair.shake()
    assert failed.value.__cause__ is hardware.failure
    with pytest.raises(TLSAlertReceived):
        pair.near.do_handshake()


def test_one_context_serves_many_connections() -> None:
    hardware = Hardware()
    near = client(hardware.credential())
    for _ in range(3):
        Pair.of(near, door()).shake()
    assert len(hardware.asked) == 3


def test_a_signer_whose_schemes_the_engine_does_not_know_is_misuse() -> None:
    hardware = Hardware()
    own = hardware.credential()
    hardware.schemes = ()
    with pytest.raises(Misuse, match="signature scheme"):
        Pair.of(client(Credential(own.name, None, own.chain, signer=hardware)), door())
