"""What connections leave behind once they are gone: nothing, however they ended.

Resident memory is what counts here, since the memory in question is OpenSSL's and no object of Python's.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbound import _native
from dnsbound.iana import DNSSEC_CHAIN
from machines.datagram_pairs import complete, datagram_client, datagram_server, meet
from machines.native_pairs import SERVER, TLS12, client_config, connect, server_config, shake
from machines.quic_pairs import quic_client, quic_ends, quic_server, quic_shake
from machines.test_native_signer import SCHEMES, Elsewhere, identity, server_elsewhere

STATM = Path("/proc/self/statm")
pytestmark = pytest.mark.skipif(not STATM.exists(), reason="no /proc/self/statm on this system")

REPETITIONS = 400
MOST = 2 * 1024 * 1024
"""Octets that repetitions may add: a forgotten connection has 15 KiB at least, and none may be."""


def resident() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def wrong_names() -> Callable[[], None]:
    config = client_config()

    def attempt() -> None:
        with pytest.raises(ValueError, match="zero octet"):
            _native.Connection(config, verify_hostname="a\0b")
        with pytest.raises(ValueError, match="zero octet"):
            _native.Connection(config, server_hostname="a\0b")
        with pytest.raises(_native.TlsError):
            _native.Connection(config, session=b"no session")

    return attempt


def refused_by_alert() -> Callable[[], None]:
    server, client = server_config(versions=(TLS12, TLS12), clientid=False), client_config()
    server.set_held_flight(True)

    def attempt() -> None:
        near, far = _native.Connection(client, server_hostname=SERVER), _native.Connection(server)
        for _ in range(2):
            near.do_handshake()
            far.feed(near.drain())
            far.do_handshake()
            near.feed(far.drain())
        assert far.flight_held
        far.send_alert(49)

    return attempt


def datagrams() -> Callable[[], None]:
    server, client = datagram_server(), datagram_client()
    return lambda: complete(*meet(server, client))


def quic() -> Callable[[], None]:
    server, client = quic_server(), quic_client()
    return lambda: quic_shake(*quic_ends(server, client))


def quic_half_way() -> Callable[[], None]:
    server, client = quic_server(), quic_client()

    def attempt() -> None:
        near, far = quic_ends(server, client)
        near.step()
        near.give(far)
        far.step()
        far.connection.feed_crypto(3, bytes(4000))
        assert not far.step()

    return attempt


def signers() -> Callable[[], None]:
    own = identity("p256")
    client = client_config()

    def attempt() -> None:
        connect(server_elsewhere(Elsewhere(own), SCHEMES["p256"]), client)

    return attempt


def failing_signers() -> Callable[[], None]:
    def fail(_scheme: int, _message: bytes) -> bytes:
        raise OSError

    own, server, client = identity("p256"), _native.Config(server_side=True), client_config(anonymous=True)
    server.set_credential_signer(own.chain, own.spki, SCHEMES["p256"], fail)

    def attempt() -> None:
        near, far = _native.Connection(client, server_hostname=SERVER), _native.Connection(server)
        with pytest.raises(_native.TlsError):
            shake(near, far)

    return attempt


def test_an_open_connection_has_forgotten_the_chains_that_it_could_have_sent() -> None:
    """A door of many names gives every connection the chains of all of them."""
    server, client = server_config(verification="none"), client_config(anonymous=True)
    server.set_dnssec_chain(DNSSEC_CHAIN)
    names, octets, connections = 16, 8_000, 100
    opened = []
    before = resident()
    for _ in range(connections):
        chains = [(f"{number}.example", 443, bytes(octets)) for number in range(names)]
        near, far = _native.Connection(client, server_hostname=SERVER), _native.Connection(server, served_chains=chains)
        shake(near, far)
        opened.append(far)
    assert (resident() - before) // len(opened) < names * octets


@pytest.mark.parametrize(
    "kind", [wrong_names, refused_by_alert, datagrams, quic, quic_half_way, signers, failing_signers]
)
def test_nothing_is_left_behind(kind: Callable[[], Callable[[], None]]) -> None:
    attempt = kind()
    for _ in range(REPETITIONS // 4):
        attempt()
    before = resident()
    for _ in range(REPETITIONS):
        attempt()
    assert resident() - before < MOST
