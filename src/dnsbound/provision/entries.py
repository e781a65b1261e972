"""What the inventory holds, as values: zones, identities, records, events; and their states."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dnsbound.names import ClientName
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment

DEFAULT_REFRESH: Final = 3600
DEFAULT_RETRY: Final = 600
DEFAULT_EXPIRE: Final = 604_800
DEFAULT_NEGATIVE_TTL: Final = 30
"""Seconds a proven absence may be remembered: a new identity must not stay unknown for long (RFC 2308 section 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSettings:
    """What an SOA and the NS RRset of a zone say (RFC 1035 section 3.3.13), and the TTL its records get by default."""

    name: OwnerName
    nameservers: tuple[OwnerName, ...]
    """Hosts of the NS RRset; the first is the SOA's MNAME."""
    rname: OwnerName
    """Mailbox of who answers for the zone, with a dot for the at sign."""
    ttl: int
    refresh: int = DEFAULT_REFRESH
    retry: int = DEFAULT_RETRY
    expire: int = DEFAULT_EXPIRE
    negative_ttl: int = DEFAULT_NEGATIVE_TTL


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A zone as kept."""

    settings: ZoneSettings
    serial: int
    """SOA serial: one more with every change to what the zone serves (RFC 1982 arithmetic)."""
    created_at: Moment
    key_path: Path | None
    """The file with the zone's private keys; None for a zone that is not signed. The inventory never opens it."""
    ds: tuple[str, ...]
    """DS record data in presentation form, for the parent."""

    @property
    def name(self) -> OwnerName:
        return self.settings.name


class IdentityState(StrEnum):
    """Whether an identity is in use."""

    ACTIVE = "active"
    """Registered; its records are published wherever the zone is served from this inventory."""
    REVOKED = "revoked"
    """Its records are gone. Final: the name may be registered anew, as another identity."""


IDENTITY_TRANSITIONS: Final[Mapping[IdentityState, frozenset[IdentityState]]] = MappingProxyType(
    {IdentityState.ACTIVE: frozenset({IdentityState.REVOKED}), IdentityState.REVOKED: frozenset()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record: type as text (`TLSA`), data in presentation form with absolute names."""

    owner: OwnerName
    rdtype: str
    rdata: str
    ttl: int

    def to_text(self) -> str:
        """The line of a zone file (RFC 1035 section 5.1)."""
        return f"{self.owner.absolute} {self.ttl} IN {self.rdtype} {self.rdata}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One name and one public key."""

    name: ClientName
    spki: bytes
    """DER SubjectPublicKeyInfo."""
    ttl: int
    state: IdentityState
    registered_at: Moment
    revoked_at: Moment | None
    records: tuple[Record, ...]
    """Published now; empty once revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Who did what, and when. Events are only ever added."""

    number: int
    at: Moment
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object]
