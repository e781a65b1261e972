"""Session tickets of a door's Context: where their keys come from, and which other Contexts' tickets it may resume."""

import hashlib
import os
from typing import Protocol, TypeAlias, runtime_checkable

from dnsbound.credential.matching import MatchPolicy
from dnsbound.edge.ticket_keys import OwnTicketKeys, TicketKeyFile, TicketKeySource
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.server_shim import Door

TicketKeysLike: TypeAlias = str | os.PathLike[str] | TicketKeySource
"""A file of shared secrets, or a source of keys."""


@runtime_checkable
class HasMatchPolicy(Protocol):
    """An authenticator that says by which rules it matches."""

    @property
    def policy(self) -> MatchPolicy: ...


def ticket_keys_of(door: Door, given: TicketKeysLike | None, *, datagram: bool = False) -> TicketKeySource | None:
    """None where there are no tickets. Misuse for a file that cannot be used."""
    if datagram and door.ticket_lifetime:
        raise TLSMisuse("ticket_lifetime: sessions over datagrams are not resumed")
    if not door.ticket_lifetime:
        if given is not None:
            raise TLSMisuse("ticket_keys without ticket_lifetime: there would be no tickets")
        return None
    if given is None:
        return OwnTicketKeys(door.ticket_lifetime)
    if isinstance(given, str | os.PathLike):
        return TicketKeyFile(given, door=door.rules.door)
    return given


def session_context(door: Door, authenticator: object, *, raw_public_keys: bool) -> bytes:
    """The session-id context (RFC 9846 section 4.7.1 leaves it to the server): 32 octets that differ wherever a door
    differs in what it admits. What was once matched under other rules must be matched in full."""
    policy = authenticator.policy.fingerprint if isinstance(authenticator, HasMatchPolicy) else b""
    rules = (
        door.rules.door,
        door.policy.value,
        *sorted(door.rules.name_sources),
        *door.rules.profiles,
        str(raw_public_keys),
    )
    said = b"".join(len(octets).to_bytes(4, "big") + octets for octets in (policy, *map(str.encode, rules)))
    return hashlib.sha256(said).digest()
