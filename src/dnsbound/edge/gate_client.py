"""Who an admitted client is, as its filter and its back end are told: read off its transport once, at admission."""

import asyncio
from typing import TYPE_CHECKING

from dnsbound.edge.gate_configuration import ProxyMode
from dnsbound.protocols.gated import Address, GateClient, GateIdentity, GateStranger
from dnsbound.protocols.proxy_protocol import MAX_UNIQUE_ID, Command, ProxyHeader, Tlv, TlvType, tls_tlv
from dnsbound.verify.claim import Proved

if TYPE_CHECKING:
    from dnsbound.edge.context_objects import TLSObject
    from dnsbound.verify.peer import VerifiedPeer

_NOWHERE: Address = ("", 0)


def client_of(transport: asyncio.Transport, door: str) -> GateClient:
    """transport: of an admitted client, or of one in clear where strangers may come in."""
    client, server = _address(transport, "peername"), _address(transport, "sockname")
    tls: TLSObject | None = transport.get_extra_info("ssl_object")
    version = "" if tls is None else tls.version() or ""
    peer: VerifiedPeer | None = transport.get_extra_info("verified_peer")
    if tls is None or peer is None:
        return GateStranger(door=door, tls_version=version, client=client, server=server)
    claim = tls.server_claim
    return GateIdentity(
        name=peer.name,
        grants=peer.grants,
        door=door,
        valid_until=peer.valid_until,
        tls_version=version,
        certificate=claim.presented.chain[0] if claim.presented.chain else None,
        spki=claim.presented.spki,
        client=client,
        server=server,
    )


def _address(transport: asyncio.Transport, fact: str) -> Address:
    found = transport.get_extra_info(fact)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) and len(found) > 1 else _NOWHERE


def proxy_header(mode: ProxyMode, client: GateClient, transport: asyncio.Transport) -> bytes:
    """What goes to the back end before the client's first octet: nothing in mode `none`."""
    if mode is ProxyMode.NONE:
        return b""
    told = _NOWHERE not in (client.client, client.server)
    header = ProxyHeader(
        command=Command.PROXY,
        source=client.client if told else None,
        destination=client.server if told else None,
        tlvs=() if mode is ProxyMode.CONNECTION else tuple(_tlvs(mode, client, transport)),
    )
    return header.to_wire()


def _tlvs(mode: ProxyMode, client: GateClient, transport: asyncio.Transport) -> list[Tlv]:
    tls: TLSObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return []
    found: list[Tlv] = []
    if (alpn := tls.selected_alpn_protocol()) is not None:
        found.append((TlvType.ALPN, alpn.encode()))
    if (server_name := tls.requested_server_name()) is not None:
        found.append((TlvType.AUTHORITY, server_name.encode()))
    if not isinstance(client, GateIdentity):
        return found
    name = client.name.canonical
    if len(name) <= MAX_UNIQUE_ID:
        found.append((TlvType.UNIQUE_ID, name.encode()))
    found.append((TlvType.VERIFIED_NAME, name.encode()))
    possession = tls.server_claim.possession
    cipher = tls.cipher()
    certificate = client.certificate if mode is ProxyMode.TLS_FULL else None
    found.append(
        tls_tlv(
            name=name,
            version=client.tls_version,
            cipher=None if cipher is None else cipher[0],
            resumed=isinstance(possession, Proved) and not possession.is_fresh,
            certificate=certificate,
        )
    )
    return found
