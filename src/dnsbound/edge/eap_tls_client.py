"""The TLS of an EAP peer: who the device is, and how it believes the network's EAP-TLS server.

    context = eap_client_context(credential, EapServerTrust(name="radius.isp.example", chain=ChainRequest(...)))
    tls = EapTlsClient(context, "radius.isp.example")
    peer = EapPeer(b"@cars.example", tls.open)

A device has no network before it is let in, so it can look nothing up: TLSA records of the server come in the handshake
with their DNSSEC chain (RFC 9102), or were looked up while there was another network. They stand at
`_1812._tcp.SERVER`, where no other TLS service can be (docs/decisions/0013-tlsa-of-an-eap-server.md). Otherwise
certificate authorities of the organisation, and the server's name, are configured (RFC 9190 section 5.3).
"""

import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.edge.context_chain import ChainRequest
from dnsbound.edge.context_server_tlsa import ResolverLike
from dnsbound.edge.eap_connection import opened_eap_tls
from dnsbound.edge.own_authorities import OwnAuthoritiesContext
from dnsbound.errors import Misuse
from dnsbound.iana import TLS_1_2
from dnsbound.protocols.eap_peer import ClientTls
from dnsbound.tls.clientid import Profile

if TYPE_CHECKING:
    from dnsbound.tls.client_shim import ClientShim
    from dnsbound.tls.session import Session


class EapTlsVersion(StrEnum):
    """What a peer speaks: one version, so that nobody on the way can choose the lower one."""

    TLS_1_2 = "1.2"
    """Shows name and certificate in clear."""
    TLS_1_3 = "1.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class EapServerTrust:
    """How the EAP-TLS server is believed: exactly one of the ways.

    name: the server's; needed by every way but the last. authorities: path of PEM certificates whose holders may vouch
    for it. resolver: looks its TLSA records up, before (`Context.prepare`). chain: it shows them in the handshake.
    danger_unverified: by nothing; whoever owns the network may be anybody.
    """

    name: str | None = None
    authorities: str | None = None
    resolver: ResolverLike | None = None
    chain: ChainRequest | None = None
    danger_unverified: bool = False

    def __post_init__(self) -> None:
        ways = (self.authorities, self.resolver, self.chain)
        if sum(way is not None for way in ways) + self.danger_unverified != 1:
            raise Misuse(
                "the EAP-TLS server is believed in one way: authorities, TLSA records, a chain, or none at all"
            )
        if self.name is None and not self.danger_unverified:
            raise Misuse("the EAP-TLS server's name says whose certificate is expected")

    @property
    def by_records(self) -> bool:
        return self.resolver is not None or self.chain is not None


def eap_client_context(
    credential: Credential,
    trust: EapServerTrust,
    *,
    tls: EapTlsVersion = EapTlsVersion.TLS_1_3,
    raw_public_key: bool | None = None,
) -> Context:
    """A Context for EAP-TLS. raw_public_key: present the bare key. With TLS 1.2 the name is said where the server has
    one to say it to; otherwise the certificate alone says it. Misuse for what contradicts itself."""
    older = tls is EapTlsVersion.TLS_1_2
    if older and raw_public_key and trust.name is None:
        raise Misuse("in TLS 1.2 a bare key needs the server's name: its own is said to a named server alone")
    context = OwnAuthoritiesContext.client(
        credential,
        profiles=[Profile.CID07] if older and trust.name is not None else None,
        clear_name_to=[trust.name] if older and trust.name is not None else (),
        raw_public_key=raw_public_key,
        resolver=trust.resolver,
        server_tlsa="require" if trust.by_records else "off",
        dnssec_chain=trust.chain,
        danger_unverified_server=trust.danger_unverified,
    )
    if older:
        context.minimum_version = ssl.TLSVersion(TLS_1_2)
        context.maximum_version = ssl.TLSVersion(TLS_1_2)
    if trust.danger_unverified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.authorities is not None:
        context.load_verify_locations(cafile=trust.authorities)
    return context


class EapTlsClient:
    """Opens the connections of one peer after the other. session: to be resumed by the next one."""

    def __init__(self, context: Context, server_name: str | None, *, session: "Session | None" = None) -> None:
        self.session = session
        self.shim: ClientShim | None = None
        """The connection opened last."""
        self._context = context
        self._server_name = server_name

    def open(self) -> ClientTls:
        """As `EapPeer` wants it."""
        opened = opened_eap_tls(self._context, self._server_name, session=self.session)
        self.shim = opened.shim
        return opened
