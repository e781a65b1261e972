"""Who is on the other end of an enrolment connection, in the words of `dnsbound.provision.enrolment`.

The door's policy is `optional`: a new device has no name yet. What the handshake proved all the same is used here: a
client that stated its name was judged by the engine; the key of any certificate or raw key that was presented was
proved by CertificateVerify; and the single dNSName of a certificate that came without dane_clientid, from clients
nobody can change, is brought to the same engine now. Sections: RFC 7030 sections 3.3.2 and 3.5; RFC 9266.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from dnsbound.credential.presented import Presented
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.context_objects import TLSObject
from dnsbound.edge.current_peer import current_connection, verified_peer
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.iana import TLS_1_3, VERSION_NAMES
from dnsbound.names import ClientName
from dnsbound.tls.handshake_claim import NO_CLAIM, PROVED_BY_HANDSHAKE, ClaimRules
from dnsbound.tls.late_claim import late_claim
from dnsbound.verify.claim import NameSource

_BINDING: Final = {VERSION_NAMES[TLS_1_3]: "tls-exporter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What one connection proved of its client."""

    name: ClientName | None
    """Authenticated by DANE with the key in `spki`; None for a client that claimed nothing."""
    presented: Presented | None
    """Its certificate or raw key, whose private key it used in this handshake; None without one."""
    binding: bytes
    """tls-exporter of TLS 1.3, tls-unique before: what a challengePassword may be linked to."""
    protocol: str

    @property
    def spki(self) -> bytes | None:
        """DER SubjectPublicKeyInfo of the key that was proved."""
        return None if self.presented is None else self.presented.spki

    @property
    def proved_keys(self) -> frozenset[bytes]:
        """SHA-256 of it."""
        return frozenset() if self.spki is None else frozenset({hashlib.sha256(self.spki).digest()})


def client_of_connection() -> Client:
    """The client of the connection that is being served. Refused or Undecided once the connection was cut; Misuse
    outside one of ours."""
    peer = verified_peer()
    shown = current_connection().get_extra_info("ssl_object")
    if not isinstance(shown, TLSObject):
        raise Misuse("enrolment needs a server on a loop of dnsbound.loop_factory")
    protocol = shown.version() or ""
    binding = shown.get_channel_binding(_BINDING.get(protocol, "tls-unique"))
    return Client(
        name=None if peer is None else peer.name,
        presented=None if shown.shim.session_reused else _presented(shown),
        binding=binding or b"",
        protocol=protocol,
    )


async def name_in_certificate(client: Client, authenticator: Authenticator, *, source: str) -> ClientName | None:
    """The name that the certificate of a client without dane_clientid shows, once the engine has verified it; None for
    a client that claims none. Refused for a claim that does not hold, Undecided where nobody can tell."""
    if client.name is not None or client.presented is None:
        return client.name
    rules = ClaimRules(door=authenticator.door, name_sources=frozenset({NameSource.SAN}))
    try:
        claim = late_claim(client.presented, (), rules, PROVED_BY_HANDSHAKE, source=source, protocol=client.protocol)
    except Refused as refusal:
        if refusal.reason in NO_CLAIM or refusal.reason is Reason.AMBIGUOUS_NAME:
            return None
        raise
    return (await authenticator.authenticate(claim)).name


def _presented(shown: TLSObject) -> Presented | None:
    raw = shown.shim.peer_raw_public_key()
    presented = (
        Presented(raw_public_key=raw)
        if raw is not None
        else Presented(tuple(map(bytes, shown.shim.get_unverified_chain())))
    )
    if presented.is_empty:
        return None
    try:
        presented.spki  # noqa: B018 (asked for now, so that nobody has to expect it later)
    except Malformed:
        return None
    return presented
