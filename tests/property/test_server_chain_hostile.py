"""Whatever stands where a server's DNSSEC chain should: the client goes on only by records that a real chain shows."""

import ssl
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adversary.hostile_client import extension
from dnsbound.iana import DNSSEC_CHAIN
from dnsbound.testing import World
from dnsbound.tls.errors import TLSRefused, TLSUndecided
from machines.chain_pairs import HOST, asking, chain_of, record
from machines.native_hostile_server import HostileServer
from machines.native_pairs import Identity, make_identity


@cache
def estate() -> tuple[World, Identity, bytes]:
    """A world, a server, and the extension_data that is its own."""
    world, own = World(), make_identity("elsewhere.example")
    return world, own, b"\x00\x01" + chain_of(world, record(own))


def authenticated(data: bytes) -> bool:
    """Whether a client that demands records believes the server; every other end is one of the two verdicts."""
    world, own, _ = estate()
    near = asking(world, required=True)
    near.set_groups("X25519")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = near.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        end.do_handshake()
    incoming.write(HostileServer(own, entry=extension(DNSSEC_CHAIN, data)).answer(outgoing.read()))
    try:
        end.do_handshake()
    except (TLSRefused, TLSUndecided):
        assert outgoing.pending > 0, "the server is told"
        return False
    return end.server_tlsa() == record(own)


def test_its_own_chain_is_believed() -> None:
    assert authenticated(estate()[2])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=600))
def test_any_octets_are_believed_by_nobody(data: bytes) -> None:
    assert not authenticated(data)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_damaged_chain_is_believed_only_where_what_was_damaged_proves_nothing(data: st.DataObject) -> None:
    """TTLs, the lifetime before the chain and letters' case are not signed; everything else ends the connection."""
    good = estate()[2]
    at = data.draw(st.integers(2, len(good) - 1))
    octet = data.draw(st.integers(0, 255).filter(lambda octet: octet != good[at]))
    if authenticated(good[:at] + bytes((octet,)) + good[at + 1 :]):
        assert at in unsigned_places(good)


def unsigned_places(good: bytes) -> set[int]:
    """Where TTLs stand, and letters of names."""
    letters = {at for at, octet in enumerate(good) if chr(octet).isalpha()}
    found, at = set(), 2
    while at < len(good):
        while good[at]:
            at += 1 + good[at]
        at += 1
        found |= set(range(at + 4, at + 8))
        at += 10 + int.from_bytes(good[at + 8 : at + 10], "big")
    return found | letters
