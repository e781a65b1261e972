"""The claim: the name a client stated, the key it presented, at which door, and how possession is known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from dnsbound.credential.keys import PublicKey
from dnsbound.credential.presented import Presented
from dnsbound.names import ClientName
from dnsbound.times import Moment


class NameSource(StrEnum):
    """Where the claimed name came from; a door lists the ones it accepts."""

    EXTENSION = "extension"
    """dane_clientid (draft-ietf-dance-client-auth section 7)."""
    SAN = "san"
    """The single SAN dNSName of the certificate: clients nobody can change."""
    STATED = "stated"
    """Named by the caller, for messages and tools."""


@dataclass(frozen=True, slots=True)
class Proved:
    """Possession of the private key was proved to us: our own handshake, or a signature we checked."""

    by: str
    until: Moment | None = None
    """When a proof that was handed on (a resumed session) may be handed on no longer; None for one made just now."""
    spki: bytes = b""
    """DER SubjectPublicKeyInfo of the key, where the engine itself checked its signature (`Signed`)."""

    @property
    def is_fresh(self) -> bool:
        """The private key was used in this very connection, not in the one whose session it resumes."""
        return self.until is None


@dataclass(frozen=True, slots=True)
class Asserted:
    """A named front (nginx, an SSH daemon) says the client proved possession to it."""

    front: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature came with the claim, over something the name said, and is still to be checked. The engine checks it,
    by the key that was presented before any lookup, or else by the keys that the name's records publish in full; then
    possession is `Proved`. Unlike a handshake it proves nothing about who sends it now."""

    by: str
    """Form and algorithm, for logs."""
    check: Callable[[PublicKey], None] = field(repr=False)
    """Raises BadSignature unless the algorithm fits the key and the signature is the key's."""


class Absent(StrEnum):
    """Nobody knows whether the client holds the key. Can never become a VerifiedPeer."""

    ABSENT = "absent"


__all__ = ["ABSENT", "Absent", "Asserted", "Claim", "NameSource", "Possession", "Presented", "Proved", "Signed"]

Possession: TypeAlias = Proved | Asserted | Absent | Signed
ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the engine judges."""

    name: ClientName
    name_source: NameSource
    presented: Presented
    possession: Possession
    door: str
    source: str = ""
    """Who caused this, for budgets and logs: a network address, usually."""
    carried_chain: bytes | None = None
    """The DNSSEC chain of the client's own TLSA record, as it came: an AuthenticationChain (RFC 9102 section 2.3)
    without lifetime and length. Looked at only where the door has a `CarriedChains`."""
    protocol: str = ""
    """How the claim came, for logs: the version of TLS, and the profile of dane_clientid where one was spoken."""
