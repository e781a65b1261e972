"""Clients that ask for the DNSSEC chain of World's server, and servers that show one, joined in memory."""

import ssl
from typing import Any

import pytest

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.edge.chain_source import FixedChain
from dnsbound.edge.context import Context
from dnsbound.edge.context_chain import ChainRequest, ServedChain
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from machines.native_pairs import Identity, authority, make_identity
from machines.shim_pairs import Doorkeeper, Pair, client, web_credential

ZONE, HOST, PORT = "cars.example", "api.cars.example", 8443
OWNER = f"_{PORT}._tcp.{HOST}"


def record(identity: Identity, usage: Usage = Usage.DANE_EE) -> TLSA:
    return tlsa_for_certificate(identity.chain[0], usage, Selector.SPKI, MatchingType.SHA2_256)


def chain_of(world: World, *records: TLSA, owner: str = OWNER, **options: Any) -> bytes:
    organisation = world.organisation(ZONE)
    if records:
        organisation.replace(owner, *records)
    else:
        organisation.remove(owner)
    return world.chain(owner, **options).octets


def asking(world: World, *, required: bool = False, host_port: int = PORT, **options: Any) -> Context:
    made = {name: options.pop(name) for name in ("pins", "longest_pin") if name in options}
    options.setdefault("clock", world.now)
    request = ChainRequest(port=host_port, anchors=world.anchors, **made)
    return client(dnssec_chain=request, server_tlsa="require" if required else "off", **options)


def serving(octets: bytes | None, identity: Identity | None = None, *, lifetime: int = 0, **options: Any) -> Context:
    """An optional door with this identity, by default one that `authority` vouches for under HOST."""
    own = identity or make_identity(HOST, issuer=authority())
    if octets is not None:
        served = ServedChain(host=HOST, port=PORT, source=FixedChain(octets), lifetime=lifetime)
        options.setdefault("dnssec_chain", served)
    return Context.server(web_credential(own), authenticator=Doorkeeper(), policy="optional", **options)


def meet(near: Context, far: ssl.SSLContext, *, host: str = HOST) -> Pair:
    pair = Pair.of(near, far, host=host)
    assert pair.shake() == (True, True)
    return pair


def fails(near: Context, far: ssl.SSLContext, *, host: str = HOST) -> Any:
    """The error at the client; the server is told of it, and knows nobody."""
    pair = Pair.of(near, far, host=host)
    with pytest.raises(ssl.SSLError) as caught:
        pair.shake()
    with pytest.raises(ssl.SSLError) as told:
        pair.far.do_handshake()
    assert getattr(told.value, "alert_received", None) is not None
    assert pair.far.pending_claim is None
    return caught.value
