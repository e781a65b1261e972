"""Certificate messages of any contents, sealed and signed as they should be: what a client with its keys can send.

A mutated record fails at its seal, and a mutated message at its signature; so here the contents are mutated first. Over
TLS 1.3 with every extension of ours asked for, and over TLS 1.2 with those of the hello.
"""

import random
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fuzz.mutation import mutate

from adversary.hostile_client import CERTIFICATE, Entry, HostileClient, client_name, extension, message, vector
from adversary.hostile_client_12 import HostileClient12
from dnsbound import _native
from dnsbound.credential.certificate_facts import spki_of
from dnsbound.iana import CARRIED_CHAIN, DANE_CLIENTID, DNSSEC_CHAIN, TLS_FLAGS
from machines.native_pairs import RAW, TLS12, TLS13, X509, client_identity, make_identity, server_config

NAME = b"car54._device.cars.example"
PROFILES = [["ca13"], ["ca10"], ["cid07"], ["ca13", "ca10", "cid07"]]
MUTATIONS = 400
IDENTITY = client_identity()
SIGNAL = bytes.fromhex("0b" + "00" * 10 + "01")


def key() -> ec.EllipticCurvePrivateKey:
    assert isinstance(IDENTITY.key, ec.EllipticCurvePrivateKey)
    return IDENTITY.key


def config(version: int, profiles: list[str]) -> _native.Config:
    made = server_config(versions=(version, version), peer=[RAW, X509], clientid=False, verification="accept")
    made.set_clientid(DANE_CLIENTID, profiles=profiles)
    made.set_dnssec_chain(DNSSEC_CHAIN)
    if version == TLS13:
        made.set_carried_chain(CARRIED_CHAIN)
        made.set_request_signal([(TLS_FLAGS, 80)])
    made.set_held_flight(True)
    return made


def bodies(*, raw: bool) -> list[bytes]:
    """Bodies of Certificate messages, behind their context."""
    shown = IDENTITY.spki if raw else IDENTITY.chain[0]
    name, chain = extension(DANE_CLIENTID, client_name(NAME)), extension(CARRIED_CHAIN, b"chain" * 20)
    flags, asked = extension(TLS_FLAGS, SIGNAL), extension(DNSSEC_CHAIN, bytes(40))
    entries = [
        [Entry(shown, name)],
        [Entry(shown, name + chain)],
        [Entry(shown, chain + name + flags)],
        [Entry(shown, name), Entry(make_identity("other.example").chain[0], name)],
        [Entry(shown, name + asked)],
        [],
    ]
    return [vector(b"".join(entry.to_wire() for entry in each), 3) for each in entries]


def check_facts(server: _native.Connection, profiles: list[str]) -> None:
    """Of a complete handshake: one name at most, beside a credential of one kind, which is the one that signed."""
    chain, raw_key = server.peer_chain(), server.peer_raw_public_key()
    assert len(server.client_names()) <= 1
    if server.client_names():
        assert bool(chain) != (raw_key is not None)
    if profiles == ["ca13"]:
        assert not server.clientid_empty()
    if chain or raw_key is not None:
        assert (spki_of(chain[0]) if chain else raw_key) == IDENTITY.spki


@pytest.mark.parametrize("profiles", PROFILES, ids="+".join)
@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_certificates_of_tls_1_3(profiles: list[str], raw: bool) -> None:
    settings, rng, pool = config(TLS13, profiles), random.Random(f"{profiles} {raw}"), bodies(raw=raw)
    complete = 0
    for number in range(MUTATIONS):
        server, client = _native.Connection(settings), HostileClient(raw_public_key=raw)
        server.feed(client.client_hello())
        server.do_handshake()
        client.receive(server.drain())
        body = pool[number] if number < len(pool) else mutate(rng, pool)
        wire = client._handshake_record(message(CERTIFICATE, b"\0" + body))
        if body != vector(b"", 3):
            wire += client.certificate_verify(key())
        server.feed(wire + client.finished())
        with suppress(_native.TlsError):
            if server.do_handshake():
                complete += 1
                check_facts(server, profiles)
                continue
        assert server.client_names() == []
        assert server.peer_chain() == []
    assert complete > 2, "some came through"


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_hellos_and_certificates_of_tls_1_2(raw: bool) -> None:
    settings, rng = config(TLS12, ["cid07"]), random.Random(f"1.2 {raw}")
    hellos = [
        extension(DANE_CLIENTID, client_name(NAME)),
        extension(DANE_CLIENTID, b""),
        extension(DNSSEC_CHAIN, b"\x01\xbb") + extension(DANE_CLIENTID, client_name(NAME)),
    ]
    shown = vector(IDENTITY.spki, 3) if raw else vector(vector(IDENTITY.chain[0], 3), 3)
    complete = 0
    for number in range(MUTATIONS):
        extensions = rng.choice(hellos) if number % 2 else mutate(rng, hellos)
        body = mutate(rng, [shown]) if number % 2 and number > 1 else shown
        client = HostileClient12(raw_public_key=raw, extra_extensions=extensions)
        server = _native.Connection(settings)
        server.feed(client.client_hello())
        with suppress(_native.TlsError):
            server.do_handshake()
            client.receive(server.drain())
            server.feed(client.say(CERTIFICATE, body) + client.client_key_exchange())
            server.feed(client.certificate_verify(key()) + client.change_cipher_spec() + client.finished())
            if server.do_handshake():
                complete += 1
                check_facts(server, ["cid07"])
                assert server.flight_held
                continue
        assert server.client_names() == []
        assert not client.server_finished
    assert complete > 10, "some came through"
