"""Keys of EAP-TLS, computed a second time from the logged secrets by the formulas of the documents.

RFC 5216 section 2.3 with the PRF of RFC 5246 section 5; RFC 9190 section 2.3 with HKDF-Expand-Label of RFC 9846 section
7.1. The randoms are read from the hellos on the wire. Nothing here uses the engine's exporter.
"""

import hashlib
import hmac
from pathlib import Path

import pytest

from dnsbound.edge.context import Context
from dnsbound.errors import Misuse
from dnsbound.iana import EapType
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_keys import KEY_OCTETS, EapKeys
from dnsbound.protocols.eap_peer import PeerReply
from dnsbound.protocols.eap_server import Accepted, Reply
from dnsbound.protocols.eap_tls_framing import Incoming
from dnsbound.tls.session import Session
from machines.eap_pairs import Conversation, network, supplicant, tls_of
from machines.hkdf import expand_label
from machines.shim_pairs import evidence

HELLO_RANDOM = slice(11, 43)
"""In a record: behind its header (5), the message's (4) and the version (2)."""


def logged(path: Path) -> dict[str, bytes]:
    lines = [line.split() for line in path.read_text().splitlines()]
    return {label: bytes.fromhex(secret) for label, _, secret in lines}


def first_flight(packets: list[bytes]) -> bytes:
    """The first TLS message of these packets."""
    incoming = Incoming()
    for eap in packets:
        packet = EapPacket.from_wire(eap)
        if packet.type == EapType.TLS and tls_of(eap).data and (message := incoming.take(tls_of(eap))):
            return message
    raise AssertionError("no flight")


def randoms(talk: Conversation) -> tuple[bytes, bytes]:
    return first_flight(talk.responses)[HELLO_RANDOM], first_flight(talk.requests)[HELLO_RANDOM]


def held(
    near: Context, far: Context, tmp_path: Path, *, session: Session | None = None
) -> tuple[Conversation, Accepted, dict[str, bytes]]:
    """A conversation, and its secrets: the last ones of the file."""
    if far.keylog_filename is None:
        far.keylog_filename = str(tmp_path / "secrets")
    talk = Conversation(near, far, session=session)
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    return talk, accepted, logged(tmp_path / "secrets")


def prf(digest: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    output, block = b"", label + seed
    while len(output) < length:
        block = hmac.digest(secret, block, digest)
        output += hmac.digest(secret, block + label + seed, digest)
    return output[:length]


@pytest.mark.parametrize(("cipher", "digest"), [("AES128-GCM", "sha256"), ("AES256-GCM", "sha384")])
def test_et_09_keys_of_tls_1_2_by_the_prf(cipher: str, digest: str, tmp_path: Path) -> None:
    near = supplicant(version="TLSv1.2")
    near.set_ciphers(f"ECDHE-ECDSA-{cipher}-{digest.upper()}")
    talk, accepted, secrets = held(near, network(), tmp_path)
    client_random, server_random = randoms(talk)
    material = prf(digest, secrets["CLIENT_RANDOM"], b"client EAP encryption", client_random + server_random, 128)
    assert accepted.keys.msk == material[:64]
    assert accepted.keys.emsk == material[64:]
    assert accepted.keys.session_id == b"\x0d" + client_random + server_random


def exporter(digest: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """RFC 9846 section 7.5."""
    octets = hashlib.new(digest).digest_size
    derived = expand_label(digest, secret, label, hashlib.new(digest, b"").digest(), octets)
    return expand_label(digest, derived, b"exporter", hashlib.new(digest, context).digest(), length)


@pytest.mark.parametrize("resumed", [False, True], ids=["full", "resumed"])
def test_et13_05_keys_of_tls_1_3_by_hkdf(resumed: bool, tmp_path: Path) -> None:
    near, far = supplicant(), network(ticket_lifetime=300)
    far.keylog_filename = str(tmp_path / "secrets")
    session = Conversation(near, far).accepted()[1].session if resumed else None
    _, accepted, secrets = held(near, far, tmp_path, session=session)
    assert accepted.resumed is resumed
    secret = secrets["EXPORTER_SECRET"]
    digest = {32: "sha256", 48: "sha384"}[len(secret)]
    material = exporter(digest, secret, b"EXPORTER_EAP_TLS_Key_Material", b"\x0d", 128)
    assert (accepted.keys.msk, accepted.keys.emsk) == (material[:64], material[64:])
    method_id = exporter(digest, secret, b"EXPORTER_EAP_TLS_Method-Id", b"\x0d", 64)
    assert accepted.keys.session_id == b"\x0d" + method_id


def test_eap_13_keys_are_long_enough_and_shown_to_nobody() -> None:
    """RFC 3748 section 7.10: 64 octets each; and no log shows them by mistake."""
    accepted, _ = Conversation(supplicant(), network()).accepted()
    assert (len(accepted.keys.msk), len(accepted.keys.emsk)) == (64, 64)
    assert len({accepted.keys.msk[:32], accepted.keys.msk[32:], accepted.keys.emsk[:32], accepted.keys.emsk[32:]}) == 4
    shown = repr(accepted)
    assert repr(accepted.keys.session_id) in shown
    assert repr(accepted.keys.msk) not in shown
    assert repr(accepted.keys.emsk) not in shown


def test_there_are_no_keys_before_the_handshake_is_complete() -> None:
    talk = Conversation(supplicant(), network())
    talk.run(until=lambda made: made.server._tls is not None)
    assert talk.server._tls is not None
    with pytest.raises(Misuse):
        EapKeys.export(talk.server._tls.shim)
    with pytest.raises(RuntimeError):
        talk.server._tls.shim.hello_randoms()


def test_keys_are_given_when_the_peer_has_confirmed() -> None:
    """RFC 9190 section 2.5: what is not authenticated has no keys."""
    talk = Conversation(supplicant(), network())
    claim = talk.judging()
    proven = talk.server.settle(evidence(claim))
    assert isinstance(proven, Reply)
    heard = talk.peer.receive(proven.eap)
    assert isinstance(heard, PeerReply)
    outcome = talk.server.receive(heard.eap)
    assert isinstance(outcome, Accepted)
    assert len(outcome.keys.msk) == KEY_OCTETS


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_session_id_that_nobody_asked_for_is_not_made(version: str) -> None:
    talk = Conversation(supplicant(version=version), network())
    proven = talk.server.settle(evidence(talk.judging()))
    assert isinstance(proven, Reply)
    heard = talk.peer.receive(proven.eap)
    assert isinstance(heard, PeerReply)
    outcome = talk.server.receive(heard.eap, with_session_id=False)
    assert isinstance(outcome, Accepted)
    assert (len(outcome.keys.msk), outcome.keys.session_id) == (KEY_OCTETS, b"")
