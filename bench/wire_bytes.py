"""Octets of one mutual TLS handshake, both directions, counted in memory: raw keys and a name against X.509 chains.

From the first ClientHello to the client's Finished; no tickets, no application data, no TCP. The chains are what an
estate with its own authority sends: a leaf and one intermediate, P-256 throughout, every field as
`dnsbound.credential` makes it. The names have the same length everywhere.
"""

import time
from dataclasses import dataclass

from bench.table import Table
from dnsbound import _native
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.iana import DANE_CLIENTID, TLS_1_3, CertificateType

CLIENT = "car54._device.cars.example"
SERVER = "api.cars.example"
GROUPS = ("X25519", "X25519MLKEM768")


@dataclass(frozen=True, slots=True)
class Ends:
    """Who shows what. named: the client sends dane_clientid."""

    client: Credential
    server: Credential
    named: bool


def measure() -> Table:
    now = time.time()
    authority = CertificateAuthority.create("bench", now=now).intermediate("bench west", now=now)
    issued, host = authority.issue(CLIENT, now=now), authority.issue(SERVER, now=now)
    # The root is known to the other end and is not sent.
    chain = Credential(issued.name, issued.private_key, issued.chain[:2])
    host_chain = Credential(host.name, host.private_key, host.chain[:2])
    alone = Credential.generate(CLIENT, now=now)
    kinds = {
        "X.509 chain with one intermediate on both ends": Ends(chain, host_chain, named=False),
        "self-signed certificate and name; server's chain": Ends(alone, host_chain, named=True),
        "raw key and name; server's chain": Ends(alone.as_raw_key(), host_chain, named=True),
        "raw key and name; server's raw key": Ends(alone.as_raw_key(), host.as_raw_key(), named=True),
    }
    table = Table(
        "Octets of a mutual TLS 1.3 handshake",
        ["group", "credentials", "client sends", "server sends", "both", "ratio"],
    )
    for group in GROUPS:
        most = 0
        for label, ends in kinds.items():
            sent, received = octets(ends, group)
            most = most or sent + received
            table.row(
                group, label, f"{sent:,}", f"{received:,}", f"{sent + received:,}", f"{(sent + received) / most:.2f}"
            )
    client_chain, raw = (
        kinds["X.509 chain with one intermediate on both ends"],
        kinds["raw key and name; server's chain"],
    )
    share = octets(raw, GROUPS[0])[0] / octets(client_chain, GROUPS[0])[0]
    table.note(f"What the client alone sends, raw key and name against chain, {GROUPS[0]}: {share:.2f}.")
    return table


def octets(ends: Ends, group: str) -> tuple[int, int]:
    """Octets the client and the server send until both are done."""
    name = ends.client.name.to_wire() if ends.named and ends.client.name is not None else None
    client = _native.Connection(_config(ends, group, server=False), server_hostname=SERVER, client_name=name)
    server = _native.Connection(_config(ends, group, server=True))
    sent = received = 0
    for _ in range(8):
        client.do_handshake()
        sent += _carry(client, server)
        server.do_handshake()
        received += _carry(server, client)
        if client.handshake_complete and server.handshake_complete:
            if ends.named and not server.client_names():
                raise RuntimeError("the server was told no name")
            return sent, received
    raise RuntimeError("the handshake does not end")


def _config(ends: Ends, group: str, *, server: bool) -> _native.Config:
    own, peer = (ends.server, ends.client) if server else (ends.client, ends.server)
    config = _native.Config(server_side=server)
    config.set_versions(TLS_1_3, TLS_1_3)
    config.set_groups(group)
    config.set_peer_verification("accept-required" if server else "accept")
    config.set_credential(own.chain, own.private_key_der())
    if not (own.chain and peer.chain):
        config.set_certificate_types(own=[_kind(own)], peer=[_kind(peer)])
    if ends.named:
        config.set_clientid(DANE_CLIENTID)
    return config


def _kind(credential: Credential) -> CertificateType:
    return CertificateType.X509 if credential.chain else CertificateType.RAW_PUBLIC_KEY


def _carry(source: _native.Connection, target: _native.Connection) -> int:
    data = source.drain()
    if data:
        target.feed(data)
    return len(data)
