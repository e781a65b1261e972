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


class KeyState(StrEnum):
    """Which of an identity's keys one is. Of a revoked identity none counts, whatever its state was."""

    NEXT = "next"
    """Published ahead of its use (RFC 7671 section 8.1). There is one at most."""
    CURRENT = "current"
    """The client logs in with it. There is one at most."""
    RETIRED = "retired"
    """Was current once, or was never used; final."""


KEY_TRANSITIONS: Final[Mapping[KeyState, frozenset[KeyState]]] = MappingProxyType(
    {
        KeyState.NEXT: frozenset({KeyState.CURRENT, KeyState.RETIRED}),
        KeyState.CURRENT: frozenset({KeyState.RETIRED}),
        KeyState.RETIRED: frozenset(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The public part of a client's key."""

    spki: bytes
    """DER SubjectPublicKeyInfo."""
    state: KeyState
    certificate: bytes | None
    """DER of the leaf certificate that was registered with it; None for a bare key."""
    added_at: Moment
    retired_at: Moment | None


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
    """One name and its keys."""

    name: ClientName
    owner: str
    """The organisation or person that answers for the client; empty when unknown."""
    keys: tuple[Key, ...]
    """In the order they were added; one at least."""
    ttl: int
    state: IdentityState
    tags: frozenset[str]
    registered_at: Moment
    revoked_at: Moment | None
    records: tuple[Record, ...]
    """Published now; empty once revoked."""

    @property
    def key(self) -> Key:
        """The current key; of a revoked identity the one that was, or else the last that was added."""
        return next((key for key in self.keys if key.state is KeyState.CURRENT), self.keys[-1])

    @property
    def next_key(self) -> Key | None:
        """The key that is to be current, if there is one."""
        return next((key for key in self.keys if key.state is KeyState.NEXT), None)

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo of `key`."""
        return self.key.spki


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Who did what, when and why. Events are only ever added."""

    number: int
    at: Moment
    actor: str
    action: str
    subject: str
    reason: str
    """In the words of who did it; empty when none was given."""
    detail: Mapping[str, object]
